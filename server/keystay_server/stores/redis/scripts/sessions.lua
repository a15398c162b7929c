#!lua flags=no-writes
-- Return the fields of each live session, oldest first.

return live_sessions(now_ms())
