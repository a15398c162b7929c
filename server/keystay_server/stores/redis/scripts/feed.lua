#!lua flags=no-writes
-- Read the log. Return whether nothing after a number was forgotten (1 or 0), the number up to
-- which this has been read, whether there may be more (1 or 0), and the entries that are for
-- the feed: number, the number before it, actor and event of each.
--
-- A number that was read up to is one of the log's, so the entry after it names it. Otherwise
-- entries were forgotten, or it is of another log: one that was lost.
--
-- ARGV[2]  the number; nothing: the newest
-- ARGV[3]  how many entries at most

local LOG, CHUNK, CHUNKS = root .. ':log', 128, 8
local last = tonumber(redis.call('HGET', root .. ':state', 'last') or 0)
local after, most = tonumber(ARGV[2]) or last, tonumber(ARGV[3])
if after == last then
  return { 1, last, 0 }
end

local found = { 0, last, 0 }
local upto = after > last and '0' or int(after)
for chunk = 1, CHUNKS do
  local entries = redis.call('XRANGE', LOG, '(' .. upto, '+', 'COUNT', CHUNK)
  if chunk == 1 and entries[1] and tonumber(entries[1][2][2]) == after then
    found[1] = 1
  end
  for _, entry in ipairs(entries) do
    local number, event = string.match(entry[1], '^%d+'), entry[2][6]
    if event ~= '' then
      local i = #found
      if i == 3 + 4 * most then
        found[2], found[3] = tonumber(upto), 1
        return found
      end
      found[i + 1], found[i + 2], found[i + 3], found[i + 4] = number, entry[2][2], entry[2][4], event
    end
    upto = number
  end
  if #entries < CHUNK then
    return found
  end
end
found[2], found[3] = tonumber(upto), 1
return found
