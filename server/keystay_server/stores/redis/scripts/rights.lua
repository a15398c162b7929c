#!lua flags=no-writes
-- Return the commands that the user of the store needs and may not use.

return missing()
