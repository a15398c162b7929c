#!lua flags=no-writes
-- Return the fields of a live session; or nil.
--
-- ARGV[2]  the actor
-- ARGV[3]  its id

return find_by_id(ARGV[2], ARGV[3])
