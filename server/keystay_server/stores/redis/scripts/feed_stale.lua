#!lua flags=allow-oom
-- Return marks that are older than their node may take, each with its actor and the cursor
-- up to which that actor is done, or nothing if it is unknown what was lost; in two arrays:
-- those that are given up on, and others. Both are empty if this is another node's business.
--
-- ARGV[5]  the node that asks
-- ARGV[6]  how long it has the business then, in milliseconds
-- ARGV[7]  the age, in milliseconds
-- ARGV[8]  the age at which a mark is given up on
-- ARGV[9]  the mark after which to begin with the others
-- ARGV[10] how many to return of each at most

local node, now, most = ARGV[5], now_ms(), ARGV[10]
-- Marks are named by the server's clock.
local real = now - SHIFT_MS
local TURN = root .. ':turn'

local function read(from, age)
  local found = {}
  local before = redis.call('XRANGE', FRESH, from, int(real - tonumber(age)), 'COUNT', most)
  for _, entry in ipairs(before) do
    local actor = entry[2][2]
    local is_too_old = tonumber(string.match(entry[1], '^%d+')) < real - DONE_MS
    found[#found + 1] = entry[1]
    found[#found + 1] = actor
    found[#found + 1] = is_too_old and '' or int(done_of(actor, now))
  end
  return found
end

local holder = redis.call('GET', TURN)
if holder and holder ~= node then
  return { {}, {} }
end
local old, young = read('-', ARGV[8]), read('(' .. ARGV[9], ARGV[7])
if #old > 0 or #young > 0 then
  redis.call('SET', TURN, node, 'PX', ARGV[6])
end
return { old, young }
