-- Sessions whose deadline has passed.

-- End sessions of the partition whose deadline has passed, the longest overdue first. Return
-- by how many milliseconds each was late.
local function end_overdue(most)
  local late, chains, now = {}, {}, now_ms()
  local due = redis.call('ZRANGE', DUE, '-inf', int(now), 'BYSCORE', 'LIMIT', 0, most, 'WITHSCORES')
  for i = 1, #due, 2 do
    local id, actor = unpack(redis.call('HMGET', session_key(due[i]), 'id', 'actor'))
    if actor then
      chains[actor] = chains[actor] or actor_chain(actor)
      bury(chains[actor], due[i], id, 'expired')
      late[#late + 1] = now - tonumber(due[i + 1])
    else
      -- Somebody deleted the session by hand. One that cannot be ended must not block others.
      redis.call('ZREM', DUE, due[i])
    end
  end
  for _, chain in pairs(chains) do
    settle(chain)
  end
  return late
end
