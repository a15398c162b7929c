#!lua flags=allow-oom
-- Take sessions that are due, the first to be due first; nobody else gets them for a while.
--
-- Return the lease, which is the time when it ends, and what names the
-- sessions; or an empty array if none is due.
--
-- ARGV[5]  how long the lease lasts, in milliseconds
-- ARGV[6]  how many sessions to take at most

local now, lasts = now_ms(), tonumber(ARGV[5])
local taken = redis.call('ZRANGE', DUE, '-inf', int(now), 'BYSCORE', 'LIMIT', 0, ARGV[6])
if #taken == 0 then
  return taken
end
for _, member in ipairs(taken) do
  put(member, now, lasts)
end
keep_until(now + lasts + TOMBSTONE_MS)
return { int(now + lasts), unpack(taken) }
