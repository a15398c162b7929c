#!lua
-- Append an event of a backend. Return it, in an array; or nil if there is no such live
-- session; or, if it was to be done once, what `done_before` says.
--
-- ARGV[8]  the actor
-- ARGV[9]  id of the session that it is for; nothing: all sessions of the actor
-- ARGV[10] name
-- ARGV[11] data
-- ARGV[12] what it is called if it is to be done once, or nothing
-- ARGV[13] what is asked under this name

local actor, id, name, content = ARGV[8], ARGV[9] ~= '' and ARGV[9], ARGV[12], ARGV[13]
local done = done_before(actor, name, content)
if done then
  return done
end
if id then
  local session, why = find_by_id(actor, id)
  if not session then
    return why
  end
end

local chain = actor_chain(actor)
chain.may_be_over = not id
local event = tell(chain, 'emitted', join({ id, ARGV[10], ARGV[11] }))
settle(chain)
finish()
remember(actor, name, content, chain.last)
return { event }
