#!lua flags=allow-oom,allow-cross-slot-keys
-- Return which partitions of a server have sessions to be ended, by their index.
--
-- It is one script for all of them because they are asked all the time.
--
-- KEYS[1]  the root of the first
-- ARGV[2] to ARGV[5]: what `sweep` takes
-- ARGV[6] and on: the roots of all

local found = {}
for i = 6, #ARGV do
  if sweep(ARGV[i], ARGV[2], ARGV[3], ARGV[4], ARGV[5]) then
    local due = redis.call('ZRANGE', ARGV[i] .. ':due', '-inf', int(now_ms()), 'BYSCORE',
      'LIMIT', 0, 1)
    if #due > 0 then
      found[#found + 1] = i - 6
    end
  end
end
return found
