-- How it is known where sessions are due, without asking each actor.
--
-- KEYS[1]  <prefix>:due:{<shard>}, a sorted set: what names a session, by when to look at it
-- ARGV[3] and ARGV[4] mean nothing here
--
-- It is a hint: what the actor's slot says counts. A session is looked at no
-- later than it is due, by the clock of the server that has the shard, so
-- servers need not agree on the time.

local DUE = KEYS[1]

local function put(member, now, left)
  redis.call('ZADD', DUE, int(now + left), member)
end

-- Keep the set until `at`, or longer if it is kept longer already.
local function keep_until(at)
  if redis.call('PEXPIREAT', DUE, cleanup_at(at), 'NX') == 0 then
    redis.call('PEXPIREAT', DUE, cleanup_at(at), 'GT')
  end
end

-- Until when something may have to be ended of a session that is looked at in `left` ms: it
-- can have been extended by then.
local function kept_until(now, left, ttl)
  return now + left + ttl + TOMBSTONE_MS
end
