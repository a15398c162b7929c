#!lua flags=allow-oom
-- Announce an event that has no number, and that nothing keeps.
--
-- ARGV[8]  name
-- ARGV[9]  data

redis.call('SPUBLISH', root, '*' .. join({ '0', '0', 'emitted', false, ARGV[8], ARGV[9] }))
