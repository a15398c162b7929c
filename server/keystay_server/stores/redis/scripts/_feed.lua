-- A part of the feed: what became of the sessions of some actors.
--
-- KEYS[1]  <prefix>:feed:{<shard>}, the root of every name of this part
-- ARGV[3]  how long a history is kept after its newest event, in milliseconds
-- ARGV[4]  means nothing here
--
-- `fresh` is a stream of marks: a write that is about to happen puts the actor there.
-- `log` is the stream of entries; the id of one is `<number>-0`, its fields are
-- `previous`, the number before it, `actor`, and `event`, which is empty where events were
-- lost. `last` is the newest number; it outlives the log, and a log without it is a new one.
-- `done:<actor>` is the cursor of the newest event of the actor that was considered.

local root = KEYS[1]
local FRESH, LOG, LAST = root .. ':fresh', root .. ':log', root .. ':last'
-- As `Retention.feed_ms`. What was done is known for longer than any entry is kept.
local LOG_MS = math.max(tonumber(ARGV[3]), 60000)
local DONE_MS = LOG_MS + 60000
local LAST_MS = 30 * 24 * 3600 * 1000

local function done_key(actor)
  return root .. ':done:' .. actor
end

-- Of an actor that nobody remembers, nothing was written as recently as that.
local function done_of(actor, now)
  return tonumber(redis.call('GET', done_key(actor)) or (now - DONE_MS) * 1024)
end

-- A new log starts beyond every number of one that was here before.
local function read_last(now)
  local last = redis.call('GET', LAST)
  if not last then
    last = int(now * 1024)
    redis.call('SET', LAST, last, 'PX', LAST_MS)
  end
  return tonumber(last)
end
