#!lua flags=allow-oom
-- Have something for oneself: 1, or 0 if another node has it.
--
-- KEYS[1]  <prefix>:lease:{<name>}, a hash: `holder`, `until`, `position`
-- ARGV[2]  the node
-- ARGV[3]  for how many milliseconds

local now = now_ms()
local holder, until_ms = unpack(redis.call('HMGET', KEYS[1], 'holder', 'until'))
if holder and holder ~= ARGV[2] and now < tonumber(until_ms) then
  return 0
end
redis.call('HSET', KEYS[1], 'holder', ARGV[2], 'until', int(now + tonumber(ARGV[3])))
redis.call('PEXPIRE', KEYS[1], 30 * 24 * 3600 * 1000)
return 1
