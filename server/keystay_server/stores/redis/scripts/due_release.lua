#!lua flags=allow-oom
-- Give leased sessions back: those that are over leave the index, others come up again.
--
-- ARGV[5]  the lease
-- ARGV[6]  and on, three for each session: what names it; in how many
--          milliseconds it is due, or nothing if it is over; its ttl

local now, lease = now_ms(), tonumber(ARGV[5])
local last = 0
for i = 6, #ARGV, 3 do
  local member, left = ARGV[i], tonumber(ARGV[i + 1])
  -- Whoever leased it since then gives it back.
  if tonumber(redis.call('ZSCORE', DUE, member)) == lease then
    if left then
      put(member, now, left)
      last = math.max(last, kept_until(now, left, tonumber(ARGV[i + 2])))
    else
      redis.call('ZREM', DUE, member)
    end
  end
end
if last > 0 then
  keep_until(last)
end
