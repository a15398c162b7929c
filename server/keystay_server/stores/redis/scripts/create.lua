#!lua
-- Create a session. Return 0, the events of those that had to end for it, oldest session
-- first, and its own; or nil if the policy refuses it; or, if it was to be done once, what
-- `done_before` says, and 1 if that is forgotten but not the session.
--
-- If more have to end than one step may end, return instead the time when this was begun and
-- the events of this step. The script has to be run again with that time, and goes on.
--
-- ARGV[8]  the actor
-- ARGV[9]  digest of the key
-- ARGV[10] id
-- ARGV[11] ttl, in milliseconds
-- ARGV[12] maximum age in milliseconds, or nothing
-- ARGV[13] how many sessions the actor may have, or nothing
-- ARGV[14] what becomes of one more: `refuse` it, or `replace` the oldest
-- ARGV[15] how many sessions a step ends at most
-- ARGV[16] when this was begun, or nothing
-- ARGV[17] what it is called if it is to be done once, or nothing
-- ARGV[18] what is asked under this name
-- ARGV[19] meta
-- ARGV[20] language
-- ARGV[21] version; there is none if this is left out

local actor, digest, id = ARGV[8], ARGV[9], ARGV[10]
local ttl, max_age, limit = tonumber(ARGV[11]), tonumber(ARGV[12]), tonumber(ARGV[13])
local name, content = ARGV[17], ARGV[18]
local sessions, key, chain = root .. ':sessions:' .. actor, session_key(digest), actor_chain(actor)

local done = done_before(actor, name, content)
if not done and name ~= '' and redis.call('EXISTS', key) == 1 then
  done = 1
end
if done then
  return done
end

local created = tonumber(ARGV[16]) or now_ms()
local events = { 0 }

-- End those that have to make room; return whether there is room then.
local function make_room(step)
  local over = redis.call('ZCARD', sessions) - limit + 1
  if over > 0 and not is_grace() then
    -- Those whose deadline has passed do not count.
    if #end_overdue(step) == step then
      events[1] = created
      return false
    end
    over = redis.call('ZCARD', sessions) - limit + 1
  end
  if over <= 0 then
    return true
  end
  if ARGV[14] == 'refuse' then
    events = nil
    return false
  end
  local ids = redis.call('ZRANGE', sessions, 0, math.min(over, step) - 1)
  local digests = redis.call('HMGET', root .. ':ids:' .. actor, unpack(ids))
  local by = join({ id, int(created) })
  for i, oldest in ipairs(ids) do
    events[i + 1] = bury(chain, digests[i], oldest, 'replaced', by)
  end
  unindex(chain)
  events[1] = over > step and created or 0
  return over <= step
end

if not limit or make_room(tonumber(ARGV[15])) then
  local expires = int(math.min(now_ms() + ttl, max_age and created + max_age or math.huge))
  local meta, language, version, revision = ARGV[19], ARGV[20], ARGV[21] or false, '1'
  local ends, opened = max_age and int(created + max_age) or false, int(next_number())
  created = int(created)
  local fields = {
    'actor', actor, 'id', id, 'meta', meta, 'language', language, 'created', created,
    'expires', expires, 'ttl', ARGV[11], 'revision', revision, 'opened', opened,
  }
  if version then
    fields[#fields + 1], fields[#fields + 2] = 'version', version
  end
  if ends then
    fields[#fields + 1], fields[#fields + 2] = 'ends', ends
  end
  redis.call('HSET', key, unpack(fields))
  redis.call('HSET', root .. ':ids:' .. actor, id, digest)
  redis.call('ZADD', sessions, opened, id)
  redis.call('ZADD', DUE, expires, digest)
  events[#events + 1] = tell(chain, 'set',
    join({ id, meta, language, version, created, expires, ends, ARGV[11], revision }))
  remember(actor, name, content, chain.last)
  chain.may_be_over = false
end
settle(chain)
finish()
return events
