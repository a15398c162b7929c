#!lua flags=allow-oom
-- Tell one node the newest number of the partition, after all that was announced before.
--
-- ARGV[2]  what the node's channel for that is called

redis.call('SPUBLISH', root .. ':probe:' .. ARGV[2],
  redis.call('HGET', root .. ':state', 'last') or '0')
