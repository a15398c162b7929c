#!lua
-- Open a session. Return the events of those that had to end for it, oldest session first,
-- and its own; or nil if the policy refuses it; or, if it was to be done once, what
-- `done_before` says, and 1 if that is forgotten but not yet the session.
--
-- ARGV[5]  digest of the key
-- ARGV[6]  id
-- ARGV[7]  ttl, in milliseconds
-- ARGV[8]  maximum age in milliseconds, or nothing
-- ARGV[9]  how many sessions the actor may have, or nothing
-- ARGV[10] what becomes of one more: `refuse` it, or `replace` the oldest
-- ARGV[11] what it is called if it is to be done once, or nothing
-- ARGV[12] what is asked under this name
-- ARGV[13] and on: names and values of the fields that are set as they are given

local now = now_ms()
local digest, id, ttl, max_age = ARGV[5], ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8])
local limit, one_more = tonumber(ARGV[9]), ARGV[10]
local name, content = ARGV[11], ARGV[12]
local key, chain, events = session_key(digest), read_chain(now), {}

local done = done_before(now, name, content)
if not done and name ~= '' and redis.call('EXISTS', key) == 1 then
  done = 1
end
if done then
  return done
end

local live = limit and live_sessions(now) or {}
local over = limit and #live - limit + 1 or 0
if over > 0 and one_more == 'refuse' then
  return nil
end
for i = 1, over do
  events[i] = bury(chain, now, live[i].key, live[i][ID], 'replaced', { id, int(now) })
end

local expires = now + ttl
redis.call('HSET', key, 'id', id, 'ttl', int(ttl), 'created', int(now), 'revision', 1,
  'opened', int(next_cursor(chain, now)), unpack(ARGV, 13))
if max_age then
  redis.call('HSET', key, 'ends', int(now + max_age))
  expires = math.min(expires, now + max_age)
end

prune(now)
redis.call('HSET', IDS, id, digest)
keep(key, id, expires)
events[#events + 1] = tell_set(chain, now, redis.call('HMGET', key, unpack(FIELDS)))
settle(chain, now)
remember(now, name, content, chain.last)
return events
