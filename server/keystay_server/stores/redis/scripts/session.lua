#!lua flags=no-writes
-- Return the fields of a live session; nil; or UNDECIDED.
--
-- ARGV[2]  the actor
-- ARGV[3]  its id

local session, why = find_by_id(ARGV[2], ARGV[3])
return session or why
