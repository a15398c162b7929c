#!lua flags=allow-oom
-- Keep a position: 1, or 0 if it is not the node's.
--
-- KEYS[1]  <prefix>:lease:{<name>}
-- ARGV[2]  the node
-- ARGV[3]  the position

local holder, until_ms = unpack(redis.call('HMGET', KEYS[1], 'holder', 'until'))
if holder ~= ARGV[2] or now_ms() >= tonumber(until_ms) then
  return 0
end
redis.call('HSET', KEYS[1], 'position', ARGV[3])
return 1
