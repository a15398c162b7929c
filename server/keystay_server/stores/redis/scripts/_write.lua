-- What the scripts that make events share: numbers, history, log, announcement, tombstones.
--
-- ARGV[2]  how long a tombstone is kept, in milliseconds
-- ARGV[3]  how many tombstones of an actor are kept
-- ARGV[4]  how long a history is kept after its newest event, in milliseconds
-- ARGV[5]  how many events a history has at most
-- ARGV[6]  about how many entries the log has at most
-- ARGV[7]  1 if the log keeps what became of sessions, for the feed; otherwise 0
--
-- `state` is a hash; `last` is the newest number of the partition. The number of an event is
-- its cursor: Unix milliseconds x 1024, or one more than the newest number.
-- `log` is a stream of all events of the partition. The id of an entry is `<number>-0`; its
-- fields are `previous`, the number before it, `actor`, and `event`, empty if not for the feed.
-- `sessions:<actor>` is a sorted set: ids of sessions by the cursor of their creation.
-- `ended:<actor>` is a list: the digests of the actor's tombstones, the oldest first.
--
-- Every call of a command costs a microsecond or two, so none is made in vain.

-- What a script has written stays if it fails later: a session would have ended, and no node
-- would know.
if not redis.acl_check_cmd('SPUBLISH', root, '') then
  return redis.error_reply('NOPERM the user may not publish')
end

local STATE, LOG, DUE = root .. ':state', root .. ':log', root .. ':due'
local TOMBSTONE_MS, TOMBSTONES = tonumber(ARGV[2]), tonumber(ARGV[3])
local HISTORY_MS, HISTORY_EVENTS = tonumber(ARGV[4]), ARGV[5]
local LOG_EVENTS, KEEPS_FEED = ARGV[6], ARGV[7] == '1'

-- The newest number of the partition, nil until it is read; and the same as text.
local newest, newest_text

local function read_newest()
  if not newest then
    newest_text = redis.call('HGET', STATE, 'last') or '0'
    newest = tonumber(newest_text)
  end
  return newest
end

local function next_number()
  return math.max(read_newest() + 1, now_ms() * 1024)
end

-- Values in one string: `<length>:<value>` each, `-:` for one that is not there.
local function join(values)
  local parts = {}
  for i = 1, #values do
    local value = values[i]
    parts[i] = value and #value .. ':' .. value or '-:'
  end
  return table.concat(parts)
end

-- What this script does to one actor: how many events were `told`; ids and digests of the
-- sessions that are `gone` and still in the indexes.
local function actor_chain(actor)
  return {
    actor = actor, told = 0, gone = {}, digests = {},
    head = #actor .. ':' .. actor, events = root .. ':events:' .. actor,
  }
end

-- Set the newest cursor of the actor; return the one before it.
local function advance(chain, cursor)
  local previous = redis.call('SET', root .. ':last:' .. chain.actor, cursor, 'GET') or '0'
  -- In a history that is too old nothing is left to be read. Redis deletes it a second later.
  if previous ~= '0' and now_ms() >= math.floor(previous / 1024) + HISTORY_MS then
    redis.call('DEL', chain.events)
  end
  return previous
end

-- Number an event, keep it in the history and in the log, and announce it; return it. It is
-- its cursor, the one before it, its kind and the values of that, all joined.
local function tell(chain, kind, values)
  local number, before = next_number(), newest_text
  local cursor = int(number)
  newest, newest_text = number, cursor
  local previous, id = chain.last or advance(chain, cursor), cursor .. '-0'
  local event = #cursor .. ':' .. cursor .. #previous .. ':' .. previous
    .. #kind .. ':' .. kind .. values
  chain.last, chain.told = cursor, chain.told + 1
  redis.call('XADD', chain.events, 'MAXLEN', '=', HISTORY_EVENTS, id,
    'previous', previous, 'event', event)
  redis.call('XADD', LOG, 'MAXLEN', '~', LOG_EVENTS, id, 'previous', before,
    'actor', chain.actor, 'event', KEEPS_FEED and kind ~= 'emitted' and event or '')
  redis.call('SPUBLISH', root, cursor .. ' ' .. before .. ' ' .. chain.head .. event)
  return event
end

-- When the tombstones of this script are forgotten, and when Redis deletes them.
local forget, delete_at

-- Put a tombstone in the place of a session, and tell of it; return the event. `by` is the id
-- of the session that takes its place and when that was created, joined, where there is one.
local function bury(chain, digest, id, reason, by)
  if not forget then
    forget, delete_at = int(now_ms() + TOMBSTONE_MS), cleanup_at(now_ms() + TOMBSTONE_MS)
  end
  local key = session_key(digest)
  redis.call('DEL', key)
  redis.call('HSET', key, 'actor', chain.actor, 'reason', reason, 'forget', forget)
  redis.call('PEXPIREAT', key, delete_at)
  chain.gone[#chain.gone + 1], chain.digests[#chain.digests + 1] = id, digest
  return tell(chain, 'unset', #id .. ':' .. id .. #reason .. ':' .. reason .. (by or ''))
end

-- Of the tombstones that are too many, forget the oldest, a step of them. It is more than one
-- script adds, so the number comes down if TOMBSTONES is lowered.
local FORGET_STEP = 100

local function bound_tombstones(ended, count)
  if count > TOMBSTONES then
    local step = math.min(count - TOMBSTONES, FORGET_STEP)
    for _, digest in ipairs(redis.call('LPOP', ended, step)) do
      -- One of long ago may be gone, and a session have its key: what is done `once` can.
      if redis.call('HEXISTS', session_key(digest), 'reason') == 1 then
        redis.call('DEL', session_key(digest))
      end
    end
  end
end

-- Take what was buried out of the indexes.
local function unindex(chain)
  if #chain.gone > 0 then
    local actor = chain.actor
    redis.call('HDEL', root .. ':ids:' .. actor, unpack(chain.gone))
    redis.call('ZREM', root .. ':sessions:' .. actor, unpack(chain.gone))
    redis.call('ZREM', DUE, unpack(chain.digests))
    local ended = root .. ':ended:' .. actor
    local count = redis.call('RPUSH', ended, unpack(chain.digests))
    redis.call('PEXPIREAT', ended, delete_at)
    bound_tombstones(ended, count)
    chain.gone, chain.digests, chain.may_be_over = {}, {}, true
  end
end

-- The last step for each actor. Of one without a session, nothing is kept for ever.
local function settle(chain)
  unindex(chain)
  if chain.told > 0 then
    local actor, last = chain.actor, root .. ':last:' .. chain.actor
    redis.call('PEXPIREAT', chain.events, cleanup_at(now_ms() + HISTORY_MS))
    if chain.told > 1 then
      redis.call('SET', last, chain.last)
    end
    if chain.may_be_over and redis.call('EXISTS', root .. ':sessions:' .. actor) == 0 then
      redis.call('PEXPIREAT', last, cleanup_at(now_ms() + math.max(TOMBSTONE_MS, HISTORY_MS)))
    end
  end
end

-- The last step of every script.
local function finish()
  if newest then
    redis.call('HSET', STATE, 'last', newest_text)
  end
end
