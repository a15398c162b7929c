#!lua flags=allow-oom
-- Return the fields of a live session, extended; the newest cursor of its actor; and, if they
-- are asked for, whether the events after a cursor are complete (1 or 0), and they. Or return
-- what `check` returns for a session that is over.
--
-- It writes a deadline if one is due, and otherwise nothing.
--
-- ARGV[2]  the actor
-- ARGV[3]  digest of the key
-- ARGV[4]  the cursor, or nothing
-- ARGV[5]  how long a history is kept after its newest event, in milliseconds

local actor = ARGV[2]
local session, why = find(actor, ARGV[3])
if not session then
  return why
end

local expires = extension(session[EXPIRES], session[TTL], session[ENDS])
if expires then
  session[EXPIRES] = expires
  set_deadline(session.digest, expires)
end
local last = read_last(actor)
if ARGV[4] == '' then
  return { session, last }
end
return { session, last, read_history(actor, last, tonumber(ARGV[4]), tonumber(ARGV[5])) }
