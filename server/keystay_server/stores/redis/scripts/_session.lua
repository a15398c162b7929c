-- What every script about an actor knows: the names, and how to read a session.
--
-- KEYS[1]  <prefix>:{<actor>}, the root of every name that belongs to one actor
-- ARGV[3]  how long a history is kept after its newest event, in milliseconds
-- ARGV[4]  how many events a history has at most
--
-- A session is a hash named by the digest of its key. Its end leaves a hash
-- with `reason` and `forget` in its place. The sessions that are not over are
-- indexed by `ids` (id to digest) and `live` (ids by their time of expiry).
-- Values are opaque: nothing here looks inside `meta`.

local root = KEYS[1]
local IDS, LIVE = root .. ':ids', root .. ':live'

-- The first RECORD of these are what a client of the scripts gets to see.
local FIELDS = {
  'id', 'meta', 'language', 'version', 'created', 'expires', 'ends', 'ttl',
  'revision', 'opened', 'reason', 'forget',
}
local RECORD = 9
local ID, META, LANGUAGE, EXPIRES, ENDS, TTL, REVISION = 1, 2, 3, 6, 7, 8, 9
local OPENED, REASON, FORGET = 10, 11, 12

local function session_key(digest)
  return root .. ':session:' .. digest
end

-- The fields of a live session; or nil and the reason why it is none; or nil and false.
local function find(key, now)
  local session = redis.call('HMGET', key, unpack(FIELDS))
  if session[REASON] then
    return nil, now < tonumber(session[FORGET]) and session[REASON]
  end
  local expires = tonumber(session[EXPIRES])
  if not expires or now >= expires + TOMBSTONE_MS then
    return nil, false
  end
  if now >= expires then
    return nil, 'expired'
  end
  session.key = key
  return session
end

-- A live session by its id.
local function find_by_id(id, now)
  local digest = redis.call('HGET', IDS, id)
  return digest and find(session_key(digest), now)
end

-- The actor's live sessions, oldest first.
local function live_sessions(now)
  local found = {}
  local index = redis.call('HGETALL', IDS)
  for i = 2, #index, 2 do
    local session = find(session_key(index[i]), now)
    if session then
      found[#found + 1] = session
    end
  end
  table.sort(found, function(a, b) return tonumber(a[OPENED]) < tonumber(b[OPENED]) end)
  return found
end
