-- What the scripts that change something share: telling, indexing, tidying up.
--
-- Every call of a command costs a microsecond or two, so none is made in vain.

local FEED = root .. ':feed'

local function next_cursor(chain, now)
  return math.max(chain.last + 1, now * 1024)
end

-- Values in one string: `<length>:<value>` each, `-:` for one that is not there.
local function join(values)
  local parts = {}
  for i, value in ipairs(values) do
    parts[i] = value and #value .. ':' .. value or '-:'
  end
  return table.concat(parts)
end

-- Append an event to the history and announce it; return it, as both carry it.
local function tell(chain, now, kind, values)
  if chain.stale then
    redis.call('DEL', EVENTS)
    chain.stale = false
  end
  local cursor, previous = int(next_cursor(chain, now)), int(chain.last)
  local event = join({ cursor, previous, kind, unpack(values) })
  redis.call('XADD', EVENTS, 'MAXLEN', '=', HISTORY_EVENTS, cursor .. '-0',
    'previous', previous, 'event', event)
  redis.call('SPUBLISH', FEED, event)
  chain.last = tonumber(cursor)
  return event
end

local function tell_set(chain, now, session)
  return tell(chain, now, 'set', { unpack(session, 1, RECORD) })
end

-- Note when the session expires, in its hash and in the index.
local function keep(key, id, expires)
  redis.call('HSET', key, 'expires', int(expires))
  redis.call('PEXPIREAT', key, cleanup_at(expires + TOMBSTONE_MS))
  redis.call('ZADD', LIVE, int(expires), id)
end

-- When a session expires that is extended now.
local function extended(now, ttl, ends)
  return math.min(now + tonumber(ttl), tonumber(ends) or math.huge)
end

-- Put a tombstone in the place of a session, and tell of it; return the event. `by` is the id
-- of the session that takes its place and when that was opened, where there is one.
local function bury(chain, now, key, id, reason, by)
  redis.call('DEL', key)
  redis.call('HSET', key, 'reason', reason, 'forget', int(now + TOMBSTONE_MS))
  redis.call('PEXPIREAT', key, cleanup_at(now + TOMBSTONE_MS))
  redis.call('HDEL', IDS, id)
  redis.call('ZREM', LIVE, id)
  return tell(chain, now, 'unset', { id, reason, unpack(by or {}) })
end

-- Take expired sessions out of the index, a bounded number at a time.
local function prune(now)
  local ids = redis.call('ZRANGE', LIVE, '-inf', int(now), 'BYSCORE', 'LIMIT', 0, 100)
  if #ids > 0 then
    redis.call('HDEL', IDS, unpack(ids))
    redis.call('ZREM', LIVE, unpack(ids))
  end
end

-- Let the index go with the last session; return when the newest cursor may go.
local function settle_index(now)
  local longest = redis.call('ZRANGE', LIVE, -1, -1, 'WITHSCORES')[2]
  if longest then
    redis.call('PEXPIREAT', IDS, cleanup_at(longest))
    redis.call('PEXPIREAT', LIVE, cleanup_at(longest))
  end
  -- The cursor must not fall back as long as anybody can ask about a session.
  local over = math.max(now, tonumber(longest or 0)) + math.max(TOMBSTONE_MS, HISTORY_MS)
  return cleanup_at(over)
end

-- The last step of every event: remember the newest cursor, and let nothing stay for ever.
local function settle(chain, now)
  redis.call('PEXPIREAT', EVENTS, cleanup_at(now + HISTORY_MS))
  redis.call('SET', LAST, int(chain.last), 'PXAT', settle_index(now))
end
