#!lua flags=allow-oom
-- Announce an event that no history keeps.
--
-- ARGV[5]  name
-- ARGV[6]  data

redis.call('SPUBLISH', FEED, join({ '0', '0', 'emitted', false, ARGV[5], ARGV[6] }))
