-- When a session is extended, and until when.
--
-- `due` is a sorted set of all sessions of the partition: their digests by their deadlines.

-- The new deadline; nil if more than two thirds of the ttl remain, or it would not be later.
local function extension(old, ttl, ends)
  local now = now_ms()
  old, ttl = tonumber(old), tonumber(ttl)
  local new = math.min(now + ttl, tonumber(ends) or math.huge)
  if (old - now) * 3 <= ttl * 2 and new > old and new > now then
    return int(new)
  end
end

local function set_deadline(digest, expires)
  redis.call('HSET', session_key(digest), 'expires', expires)
  redis.call('ZADD', root .. ':due', expires, digest)
end
