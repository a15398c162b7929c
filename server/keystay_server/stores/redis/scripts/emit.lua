#!lua
-- Append an event of a backend. Return it, in an array; or nil if there is no such live
-- session; or, if it was to be done once, what `done_before` says.
--
-- ARGV[5]  id of the session that it is for; nothing: all sessions of the actor
-- ARGV[6]  name
-- ARGV[7]  data
-- ARGV[8]  what it is called if it is to be done once, or nothing
-- ARGV[9]  what is asked under this name

local now = now_ms()
local id = ARGV[5] ~= '' and ARGV[5]
local name, content = ARGV[8], ARGV[9]
local done = done_before(now, name, content)
if done then
  return done
end
if id and not find_by_id(id, now) then
  return nil
end

local chain = read_chain(now)
local event = tell(chain, now, 'emitted', { id, ARGV[6], ARGV[7] })
settle(chain, now)
remember(now, name, content, chain.last)
return { event }
