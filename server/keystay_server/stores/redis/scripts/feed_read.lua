#!lua flags=allow-oom
-- Return whether nothing after a number was forgotten (1 or 0), the number up to which this
-- has been read, and the entries.
--
-- ARGV[5]  the number; nothing: the newest
-- ARGV[6]  how many entries at most

local last = read_last(now_ms())
redis.call('PEXPIRE', LAST, LAST_MS)
local after = tonumber(ARGV[5]) or last
if after == last then
  return { 1, int(last), {} }
end

local oldest = redis.call('XRANGE', LOG, '-', '+', 'COUNT', 1)[1]
local floor = oldest and tonumber(oldest[2][2]) or last
local complete = floor <= after and after <= last
-- A number beyond the newest entry is of another log, one that was lost.
if after > last then
  after = 0
end
local entries = redis.call('XRANGE', LOG, '(' .. int(after), '+', 'COUNT', ARGV[6])
local upto = #entries < tonumber(ARGV[6]) and int(last) or string.match(entries[#entries][1], '^%d+')
for i, entry in ipairs(entries) do
  entries[i] = { string.match(entry[1], '^%d+'), entry[2][4], entry[2][6] }
end
return { complete and 1 or 0, upto, entries }
