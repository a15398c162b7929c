#!lua
-- Leave word of a node, in a hash by node, with the time when it is over in front.
--
-- KEYS[1]  <prefix>:report:{<topic>}
-- ARGV[5]  the node
-- ARGV[6]  what it says
-- ARGV[7]  for how many milliseconds

local until_ms = now_ms() + tonumber(ARGV[7])
redis.call('HSET', KEYS[1], ARGV[5], int(until_ms) .. ':' .. ARGV[6])
if redis.call('PEXPIREAT', KEYS[1], cleanup_at(until_ms), 'NX') == 0 then
  redis.call('PEXPIREAT', KEYS[1], cleanup_at(until_ms), 'GT')
end
