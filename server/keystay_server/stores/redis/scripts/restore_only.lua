#!lua flags=no-writes
-- Restore a session as it is, on a server that does not write at the moment.

return restore(function() end)
