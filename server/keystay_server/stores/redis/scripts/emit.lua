#!lua
-- Append an event of a backend. Return it, in an array; or nil if there is no such live session.
--
-- ARGV[5]  id of the session that it is for; nothing: all sessions of the actor
-- ARGV[6]  name
-- ARGV[7]  data

local now = now_ms()
local id = ARGV[5] ~= '' and ARGV[5]
if id and not find_by_id(id, now) then
  return nil
end

local chain = read_chain(now)
local event = tell(chain, now, 'emitted', { id, ARGV[6], ARGV[7] })
settle(chain, now)
return { event }
