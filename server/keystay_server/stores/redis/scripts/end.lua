#!lua flags=allow-oom
-- End sessions. Return their events, oldest session first.
--
-- It frees more than it writes, and a logout has to work on a full server.
--
-- ARGV[5]  id of the session that asks, or nothing
-- ARGV[6]  scope: this, others or all
-- ARGV[7]  reason

local now = now_ms()
local asking, scope, reason = ARGV[5], ARGV[6], ARGV[7]

local sessions = {}
if asking == '' then
  sessions = live_sessions(now)
else
  local session = find_by_id(asking, now)
  if not session then
    return {}
  end
  sessions = scope == 'this' and { session } or live_sessions(now)
end

local events, chain = {}, read_chain(now)
for _, session in ipairs(sessions) do
  local id = session[ID]
  if scope ~= 'others' or id ~= asking then
    events[#events + 1] = bury(chain, now, session.key, id, reason)
  end
end
if #events > 0 then
  settle(chain, now)
end
return events
