#!lua
-- Change a session. Return its event, in an array; nil if there is no such live session; or
-- its revision, if that is not the expected one.
--
-- ARGV[5]  id
-- ARGV[6]  the revision that is expected, or nothing
-- ARGV[7]  the new meta, or nothing
-- ARGV[8]  the new language, or nothing

local now = now_ms()
local session = find_by_id(ARGV[5], now)
if not session then
  return nil
end
local revision, expected = tonumber(session[REVISION] or 1), tonumber(ARGV[6])
if expected and expected ~= revision then
  return revision
end

if ARGV[7] ~= '' then
  session[META] = ARGV[7]
end
if ARGV[8] ~= '' then
  session[LANGUAGE] = ARGV[8]
end
session[REVISION] = int(revision + 1)
redis.call('HSET', session.key, 'meta', session[META], 'language', session[LANGUAGE],
  'revision', session[REVISION])

local chain = read_chain(now)
local event = tell_set(chain, now, session)
settle(chain, now)
return { event }
