#!lua
-- Note that a session will be due.
--
-- ARGV[5]  what names it
-- ARGV[6]  in how many milliseconds
-- ARGV[7]  its ttl, in milliseconds

local now, left = now_ms(), tonumber(ARGV[6])
put(ARGV[5], now, left)
keep_until(kept_until(now, left, tonumber(ARGV[7])))
