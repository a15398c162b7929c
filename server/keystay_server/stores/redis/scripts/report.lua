#!lua
-- Leave word of a node, in a hash by node, with the time when it is over in front.
--
-- KEYS[1]  <prefix>:report:{<topic>}
-- ARGV[2]  the node
-- ARGV[3]  what it says
-- ARGV[4]  for how many milliseconds

local until_ms = now_ms() + tonumber(ARGV[4])
redis.call('HSET', KEYS[1], ARGV[2], int(until_ms) .. ':' .. ARGV[3])
if redis.call('PEXPIREAT', KEYS[1], cleanup_at(until_ms), 'NX') == 0 then
  redis.call('PEXPIREAT', KEYS[1], cleanup_at(until_ms), 'GT')
end
