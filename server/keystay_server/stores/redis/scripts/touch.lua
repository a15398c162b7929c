#!lua flags=allow-oom
-- Extend a session that is held, unless more than two thirds of its ttl remain. Tell nobody.
--
-- It writes next to nothing, and whoever holds a session keeps it on a full server.
--
-- ARGV[5]  digest of the key

local now = now_ms()
local session = find(session_key(ARGV[5]), now)
if not session then
  return
end

local old, ttl = tonumber(session[EXPIRES]), tonumber(session[TTL])
local expires = extended(now, ttl, session[ENDS])
if (old - now) * 3 <= ttl * 2 and expires > old then
  keep(session.key, session[ID], expires)
  redis.call('PEXPIREAT', LAST, settle_index(now))
end
