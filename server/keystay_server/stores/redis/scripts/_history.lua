-- How to read the events of an actor.
--
-- `events:<actor>` is a stream, the history. The id of an entry is `<cursor>-0`; its fields are
-- `previous`, the cursor before it, and `event`. `last:<actor>` is the newest cursor; it
-- outlives the stream, so that the chain of cursors goes on.

local function read_last(actor)
  return tonumber(redis.call('GET', root .. ':last:' .. actor) or 0)
end

-- A page ends after so many events or bytes: no script may block the server.
local PAGE_EVENTS, PAGE_BYTES, CHUNK = 1024, 1024 * 1024, 16

-- The events after a cursor, a page of them, and whether there may be more (1 or 0).
local function read_page(stream, after)
  local events, bytes, from = {}, 0, int(after)
  repeat
    local entries = redis.call('XRANGE', stream, '(' .. from, '+', 'COUNT', CHUNK)
    for _, entry in ipairs(entries) do
      from, events[#events + 1] = entry[1], entry[2][4]
      bytes = bytes + #entry[2][4]
    end
    if #entries < CHUNK then
      return events, 0
    end
  until #events >= PAGE_EVENTS or bytes >= PAGE_BYTES
  return events, 1
end

-- Whether nothing after a cursor was forgotten (1 or 0), and what `read_page` returns.
local function read_history(actor, last, after, history_ms)
  local stream = root .. ':events:' .. actor
  -- The newest event that is forgotten. An actor whose first event is still there
  -- started anew with it: whatever came before is forgotten.
  local floor, events, more = last, {}, 0
  local is_stale = now_ms() >= math.floor(last / 1024) + history_ms
  local oldest = not is_stale and redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
  if oldest then
    floor = tonumber(oldest[2][2])
    if floor == 0 then
      floor = tonumber(string.match(oldest[1], '^%d+')) - 1
    end
    if after ~= last then
      events, more = read_page(stream, after)
    end
  end
  -- A cursor beyond the newest event is of another history, one that was lost.
  local is_complete = last > 0 and floor <= after and after <= last
  return is_complete and 1 or 0, events, more
end
