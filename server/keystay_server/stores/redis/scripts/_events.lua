-- How to read where an actor's events are.
--
-- `events` is a stream. The id of an entry is `<cursor>-0`; its fields are
-- `previous`, the cursor before it, and `event`. `last` is the newest cursor; it
-- outlives the stream, so that cursors and their chain go on.

local EVENTS, LAST = root .. ':events', root .. ':last'
local HISTORY_MS, HISTORY_EVENTS = tonumber(ARGV[3]), tonumber(ARGV[4])

-- `last`, or 0 if nothing is remembered; `stale` if that is so old that all events are forgotten.
local function read_chain(now)
  local last = tonumber(redis.call('GET', LAST) or 0)
  return { last = last, stale = now >= math.floor(last / 1024) + HISTORY_MS }
end
