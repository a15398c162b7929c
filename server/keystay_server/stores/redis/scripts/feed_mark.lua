#!lua flags=allow-oom
-- Note that something is about to happen to an actor; return the mark.
--
-- KEYS[1]  <prefix>:feed:{<shard>}
-- ARGV[1]  the actor

return redis.call('XADD', KEYS[1] .. ':fresh', '*', 'actor', ARGV[1])
