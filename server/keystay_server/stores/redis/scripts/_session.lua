-- How to find a session.
--
-- `session:<digest>` is a hash, named by the digest of the key. Its end leaves a tombstone in
-- its place: a hash with `actor`, `reason` and `forget`, the time when it is forgotten.
-- `ids:<actor>` is a hash: the id of each session that has not been ended to its digest.
-- Values are opaque: nothing here looks inside `meta`.

-- The first RECORD of these are what a client of the scripts gets to see.
local FIELDS = {
  'id', 'meta', 'language', 'version', 'created', 'expires', 'ends', 'ttl', 'revision',
  'opened', 'actor', 'reason', 'forget',
}
local RECORD = 9
local META, LANGUAGE, EXPIRES, ENDS, TTL, REVISION = 2, 3, 6, 7, 8, 9
local OPENED, ACTOR, REASON, FORGET = 10, 11, 12, 13

local function session_key(digest)
  return root .. ':session:' .. digest
end

-- No session ends for this reason: its deadline has passed, and it is not decided whether it
-- is over, because a node that holds it may still extend it.
local UNDECIDED = '?'

-- Whether nodes may not have had the time yet to extend what they hold: see `_sweep.lua`.
local function is_grace()
  local present, grace = unpack(redis.call('HMGET', root .. ':state', 'present', 'grace'))
  return present and (now_ms() > tonumber(present) or now_ms() < tonumber(grace or 0))
end

-- The fields of a live session; or nil and the reason why it is none; or nil and false.
-- A key that opens nothing costs one command, whether or not there is such an actor.
local function find(actor, digest)
  local key = session_key(digest)
  local session = redis.call('HMGET', key, unpack(FIELDS))
  if session[ACTOR] ~= actor then
    return nil, false
  end
  if session[REASON] then
    return nil, now_ms() < tonumber(session[FORGET]) and session[REASON]
  end
  if now_ms() >= tonumber(session[EXPIRES]) then
    return nil, is_grace() and UNDECIDED or 'expired'
  end
  session.key, session.digest = key, digest
  return session
end

-- A live session by its id; or nil, and UNDECIDED if it is not decided whether it is one.
local function find_by_id(actor, id)
  local digest = redis.call('HGET', root .. ':ids:' .. actor, id)
  if digest then
    local session, why = find(actor, digest)
    return session, why == UNDECIDED and why or nil
  end
end
