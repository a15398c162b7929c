-- That nodes ask for what is due is noted, and when it is not to be ended yet.
--
-- `state` has two more fields: `present`, until when nodes count as present, which is a while
-- after one of them asked for what is due; and `grace`, until when nothing is ended. If nobody
-- asked in time, that is a moment: nodes extend first what they hold. So sessions survive when
-- the server, or all nodes, were away.

-- Entries that one script deletes from a log, and those in a node of a stream.
local TRIM_STEP, STREAM_NODE = 500, 100

-- Forget the entries of a log that are older than this number, a step of them.
local function trim(log, oldest)
  local trimmed = redis.call('XTRIM', log, 'MINID', '~', oldest, 'LIMIT', TRIM_STEP)
  -- Whole nodes are deleted at once. Below the limit, no more than a part of one is left.
  if trimmed <= TRIM_STEP - STREAM_NODE then
    redis.call('XTRIM', log, 'MINID', '=', oldest)
  end
end

-- Note that a node asks a partition, and trim its log. Return whether sessions may be ended.
--
-- absent_ms  for how long nodes count as present after one of them asked
-- grace_ms   for how long nothing is ended then
-- sweep_ms   how often it is noted that somebody asked
-- log_ms     how old an entry of the log may be
local function sweep(partition, absent_ms, grace_ms, sweep_ms, log_ms)
  local now, state = now_ms(), partition .. ':state'
  local present, grace = unpack(redis.call('HMGET', state, 'present', 'grace'))
  local since = present and now - (tonumber(present) - tonumber(absent_ms))
  if not since or since < 0 or since >= tonumber(sweep_ms) then
    if since and since > tonumber(absent_ms) then
      grace = now + tonumber(grace_ms)
      redis.call('HSET', state, 'grace', int(grace))
    end
    redis.call('HSET', state, 'present', int(now + tonumber(absent_ms)))
    trim(partition .. ':log', int(math.max(0, now - tonumber(log_ms)) * 1024))
  end
  return now >= tonumber(grace or 0)
end
