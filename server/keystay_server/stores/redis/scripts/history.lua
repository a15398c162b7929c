#!lua flags=no-writes
-- Return whether nothing after a cursor was forgotten (1 or 0), the events after it, and the
-- newest cursor.
--
-- ARGV[5]  the cursor

local after, chain = tonumber(ARGV[5]), read_chain(now_ms())

-- The newest event that is forgotten. An actor whose first event is still there
-- started anew with it: whatever came before is forgotten.
local floor, events = chain.last, {}
local oldest = not chain.stale and redis.call('XRANGE', EVENTS, '-', '+', 'COUNT', 1)[1]
if oldest then
  floor = tonumber(oldest[2][2])
  if floor == 0 then
    floor = tonumber(string.match(oldest[1], '^%d+')) - 1
  end
  for i, entry in ipairs(redis.call('XRANGE', EVENTS, '(' .. ARGV[5], '+')) do
    events[i] = entry[2][4]
  end
end

-- A cursor beyond the newest event is of another history, one that was lost.
local complete = chain.last > 0 and floor <= after and after <= chain.last
return { complete and 1 or 0, events, int(chain.last) }
