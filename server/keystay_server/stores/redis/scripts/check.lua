#!lua flags=no-writes
-- Return the fields of the live session, the reason why it ended, or nil if there is none.
--
-- ARGV[5]  digest of the key

local session, why = find(session_key(ARGV[5]), now_ms())
return session or why
