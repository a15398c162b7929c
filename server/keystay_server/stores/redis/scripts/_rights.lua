-- What the user of the store must be allowed to do.

local KEY_COMMANDS = {
  'DEL', 'EXISTS', 'GET', 'HDEL', 'HEXISTS', 'HGET', 'HGETALL', 'HMGET', 'HSET', 'LPOP', 'PEXPIRE',
  'PEXPIREAT', 'RPUSH', 'SET', 'XADD', 'XRANGE', 'XTRIM', 'ZADD', 'ZCARD', 'ZMSCORE', 'ZRANGE',
  'ZREM',
}

-- The commands that are not allowed, below this root.
local function missing()
  local found = {}
  local function need(...)
    if not redis.acl_check_cmd(...) then
      found[#found + 1] = string.lower(select(1, ...))
    end
  end
  for _, command in ipairs(KEY_COMMANDS) do
    need(command, root .. ':x')
  end
  need('TIME')
  need('SCRIPT', 'LOAD', '')
  need('SPUBLISH', root, '')
  need('SSUBSCRIBE', root)
  return found
end
