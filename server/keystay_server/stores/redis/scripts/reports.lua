#!lua flags=allow-oom
-- Return what nodes have left: node and word, in turn. What is over is dropped.
--
-- KEYS[1]  <prefix>:report:{<topic>}

local now, found = now_ms(), {}
local left = redis.call('HGETALL', KEYS[1])
for i = 1, #left, 2 do
  local until_ms, said = string.match(left[i + 1], '^(%d+):(.*)$')
  if now < tonumber(until_ms) then
    found[#found + 1] = left[i]
    found[#found + 1] = said
  else
    redis.call('HDEL', KEYS[1], left[i])
  end
end
return found
