-- The clock, for every script.
--
-- ARGV[1]  milliseconds to add to it; 0 outside of tests
-- ARGV[2]  how long a tombstone is kept, in milliseconds

local SHIFT_MS, TOMBSTONE_MS = tonumber(ARGV[1]), tonumber(ARGV[2])

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000) + SHIFT_MS
end

-- Lua writes big numbers as 1.76e+15 unless told otherwise.
local function int(number)
  return string.format('%.0f', number)
end

-- The rules decide by the clock what is over; expiry by Redis only cleans up, a second later.
local function cleanup_at(at)
  return int(at - SHIFT_MS + 1000)
end
