#!lua flags=allow-oom
-- Append events to the log, each once and in the order of its actor.
--
-- Return, in turn, which of the items were not taken, because events before
-- theirs are missing, and the cursor after which they are.
--
-- ARGV[5]  how many entries to keep
-- ARGV[6]  and on, for each item: the actor; the cursor after which the events are
--          complete; the one up to which they are; the mark that is done with, or nothing;
--          how many events there are; of each its cursor and itself. An event without a
--          cursor is appended in any case.

local now, keep = now_ms(), ARGV[5]
local before = read_last(now)
local last, gaps, marks = before, {}, {}

local function append(actor, event)
  local previous = last
  last = math.max(last + 1, now * 1024)
  redis.call('XADD', LOG, 'MAXLEN', '=', keep, int(last) .. '-0', 'previous', int(previous),
    'actor', actor, 'event', event)
end

local i, item = 6, 0
while i <= #ARGV do
  local actor, after, upto = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
  local first, beyond = i + 5, i + 5 + 2 * tonumber(ARGV[i + 4])
  local done = done_of(actor, now)
  if after > done then
    gaps[#gaps + 1] = item
    gaps[#gaps + 1] = int(done)
  else
    for e = first, beyond - 1, 2 do
      local cursor = tonumber(ARGV[e])
      if not cursor or cursor > done then
        append(actor, ARGV[e + 1])
      end
    end
    if upto > done then
      redis.call('SET', done_key(actor), int(upto), 'PX', DONE_MS)
    end
    if ARGV[i + 3] ~= '' then
      marks[#marks + 1] = ARGV[i + 3]
    end
  end
  i, item = beyond, item + 1
end

if #marks > 0 then
  redis.call('XDEL', FRESH, unpack(marks))
  redis.call('PEXPIRE', FRESH, LAST_MS)
end
if last > before then
  redis.call('XTRIM', LOG, 'MINID', '=', int(math.max(0, now - LOG_MS) * 1024))
  redis.call('PEXPIREAT', LOG, cleanup_at(now + LOG_MS))
  redis.call('SET', LAST, int(last), 'PX', LAST_MS)
end
return gaps
