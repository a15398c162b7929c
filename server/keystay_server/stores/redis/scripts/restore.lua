#!lua
-- Extend a session. Return its event, in an array; or what `check` returns for one that is over.
--
-- ARGV[5]  digest of the key

local now = now_ms()
local session, why = find(session_key(ARGV[5]), now)
if not session then
  return why
end

local expires = extended(now, session[TTL], session[ENDS])
session[EXPIRES] = int(expires)

local chain = read_chain(now)
keep(session.key, session[ID], expires)
local event = tell_set(chain, now, session)
settle(chain, now)
return { event }
