#!lua flags=no-writes
-- Return the fields of the live session, the reason why it ended, or nil if there is none.
--
-- ARGV[2]  the actor
-- ARGV[3]  digest of the key

local session, why = find(ARGV[2], ARGV[3])
return session or why
