#!lua flags=no-writes
-- Return whether nothing after a cursor was forgotten (1 or 0), a page of the events after it,
-- and whether there may be more (1 or 0).
--
-- ARGV[2]  the actor
-- ARGV[3]  the cursor
-- ARGV[4]  how long a history is kept after its newest event, in milliseconds

local actor = ARGV[2]
return { read_history(actor, read_last(actor), tonumber(ARGV[3]), tonumber(ARGV[4])) }
