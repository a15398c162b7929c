#!lua
-- Change a session. Return its event, in an array; nil if there is no such live session; or
-- its revision, if that is not the expected one.
--
-- ARGV[8]  the actor
-- ARGV[9]  id
-- ARGV[10] the revision that is expected, or nothing
-- ARGV[11] the new meta, or nothing
-- ARGV[12] the new language, or nothing

local session, why = find_by_id(ARGV[8], ARGV[9])
if not session then
  return why
end
local revision, expected = tonumber(session[REVISION]), tonumber(ARGV[10])
if expected and expected ~= revision then
  return revision
end

if ARGV[11] ~= '' then
  session[META] = ARGV[11]
end
if ARGV[12] ~= '' then
  session[LANGUAGE] = ARGV[12]
end
session[REVISION] = int(revision + 1)
redis.call('HSET', session.key, 'meta', session[META], 'language', session[LANGUAGE],
  'revision', session[REVISION])

local chain = actor_chain(ARGV[8])
local event = tell(chain, 'set', join({ unpack(session, 1, RECORD) }))
settle(chain)
finish()
return { event }
