#!lua flags=no-writes
-- Return the position that was kept.
--
-- KEYS[1]  <prefix>:lease:{<name>}

return redis.call('HGET', KEYS[1], 'position')
