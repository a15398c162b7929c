#!lua flags=allow-oom
-- End a session whose time is over. Return how long it still lasts, which is 0 or less once it is over, and its
-- ttl, both in milliseconds; and, if it is over, its event. Or nil, if there is nothing to end.
--
-- It frees more than it writes, and a session has to end on a full server.
--
-- ARGV[5]  digest of the key

local now, key = now_ms(), session_key(ARGV[5])
local id, expires, ttl = unpack(redis.call('HMGET', key, 'id', 'expires', 'ttl'))
-- Neither a tombstone nor what is forgotten has a deadline.
if not expires then
  return nil
end
local left = tonumber(expires) - now
if left > 0 then
  return { left, tonumber(ttl) }
end

local chain = read_chain(now)
local event = bury(chain, now, key, id, 'expired')
settle(chain, now)
return { left, tonumber(ttl), event }
