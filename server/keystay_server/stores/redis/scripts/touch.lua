#!lua flags=allow-oom
-- Extend sessions that connections are bound to, unless more than two thirds of the ttl
-- remain; also those whose deadline has passed and that nobody has ended. Tell nobody.
--
-- It writes next to nothing, and what is held on a full server has to live on.
--
-- ARGV[2] and on: digests of their keys

for i = 2, #ARGV do
  local old, ttl, ends =
    unpack(redis.call('HMGET', session_key(ARGV[i]), 'expires', 'ttl', 'ends'))
  -- A tombstone has no deadline.
  local expires = old and extension(old, ttl, ends)
  if expires then
    set_deadline(ARGV[i], expires)
  end
end
