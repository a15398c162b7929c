-- The clock, and the names that every script starts from.
--
-- KEYS[1]  the start of every name: for sessions `<prefix>:{<partition>}`
-- ARGV[1]  milliseconds to add to the server's clock; 0 outside of tests

local root, SHIFT_MS = KEYS[1], tonumber(ARGV[1])

-- The time, which does not change while a script runs. Read once, and only if it is needed.
local time_ms

local function now_ms()
  if not time_ms then
    local time = redis.call('TIME')
    time_ms = time[1] * 1000 + math.floor(time[2] / 1000) + SHIFT_MS
  end
  return time_ms
end

-- Lua writes big numbers as 1.76e+15 unless told otherwise.
local function int(number)
  return string.format('%.0f', number)
end

-- The rules decide by the clock what is over; expiry by Redis only cleans up, a second later.
local function cleanup_at(at)
  return int(at - SHIFT_MS + 1000)
end
