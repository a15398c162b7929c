#!lua flags=allow-oom
-- End sessions, a step of them. Return 0 and their events, oldest session first; or nil if the
-- session that asks is not live; or UNDECIDED if it may be.
--
-- If there are more, return in place of the 0 the number up to which sessions are to be ended.
-- The script has to be run again with it, and goes on.
--
-- Sessions whose deadline has passed end as well, as `expired`, but are not returned: a node
-- that holds one could extend it later.
--
-- It frees more than it writes, and a logout has to work on a full server.
--
-- ARGV[8]  the actor
-- ARGV[9]  id of the session that asks, or nothing
-- ARGV[10] scope: this, others or all
-- ARGV[11] reason
-- ARGV[12] how many sessions a step ends at most
-- ARGV[13] the number up to which sessions are to be ended, or nothing

local actor, asking, scope, reason = ARGV[8], ARGV[9], ARGV[10], ARGV[11]
local step, bound, chain = tonumber(ARGV[12]), tonumber(ARGV[13]), actor_chain(ARGV[8])

local session, why
if not bound and asking ~= '' then
  session, why = find_by_id(actor, asking)
  if not session then
    return why
  end
end
if scope == 'this' then
  local event = bury(chain, session.digest, asking, reason)
  settle(chain)
  finish()
  return { 0, event }
end

bound = bound or read_newest()
-- One more than are ended: it is the session that asks, or shows that there are more.
local ids = redis.call('ZRANGE', root .. ':sessions:' .. actor, '-inf', int(bound), 'BYSCORE',
  'LIMIT', 0, step + 1)
if #ids == 0 then
  return { 0 }
end
local digests = redis.call('HMGET', root .. ':ids:' .. actor, unpack(ids))
local deadlines = redis.call('ZMSCORE', DUE, unpack(digests))
local events = { #ids > step and bound or 0 }
for i, id in ipairs(ids) do
  if #chain.gone < step and (scope == 'all' or id ~= asking) then
    if now_ms() >= tonumber(deadlines[i]) then
      bury(chain, digests[i], id, 'expired')
    else
      events[#events + 1] = bury(chain, digests[i], id, reason)
    end
  end
end
settle(chain)
finish()
return events
