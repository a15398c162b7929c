#!lua
-- Open a session. Return its event, in an array.
--
-- ARGV[5]  digest of the key
-- ARGV[6]  id
-- ARGV[7]  ttl, in milliseconds
-- ARGV[8]  maximum age in milliseconds, or nothing
-- ARGV[9]  and on: names and values of the fields that stay as they are given

local now = now_ms()
local digest, id, ttl, max_age = ARGV[5], ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8])
local key, chain = session_key(digest), read_chain(now)

local expires = now + ttl
redis.call('HSET', key, 'id', id, 'ttl', int(ttl), 'created', int(now),
  'opened', int(next_cursor(chain, now)), unpack(ARGV, 9))
if max_age then
  redis.call('HSET', key, 'ends', int(now + max_age))
  expires = math.min(expires, now + max_age)
end

prune(now)
redis.call('HSET', IDS, id, digest)
keep(key, id, expires)
local event = tell_set(chain, now, redis.call('HMGET', key, unpack(FIELDS)))
settle(chain, now)
return { event }
