#!lua flags=no-writes
-- Read a page of live sessions. Return the score to go on from, nothing at the end, and the
-- fields of each; nil if the session to begin after is not live; or UNDECIDED if one may be.
--
-- ARGV[2]  the actor
-- ARGV[3]  how many to look at
-- ARGV[4]  `oldest` or `newest`: where to begin
-- ARGV[5]  the score to go on from; or nothing
-- ARGV[6]  the id of the session to begin after, with the oldest; or nothing

local actor, most, from = ARGV[2], tonumber(ARGV[3]), ARGV[5]
if ARGV[6] ~= '' then
  local session, why = find_by_id(actor, ARGV[6])
  if not session then
    return why
  end
  from = '(' .. session[OPENED]
end

local key, ids = root .. ':sessions:' .. actor, nil
if ARGV[4] == 'newest' then
  from = from ~= '' and from or '+inf'
  ids = redis.call('ZRANGE', key, from, '-inf', 'BYSCORE', 'REV', 'LIMIT', 0, most, 'WITHSCORES')
else
  from = from ~= '' and from or '-inf'
  ids = redis.call('ZRANGE', key, from, '+inf', 'BYSCORE', 'LIMIT', 0, most, 'WITHSCORES')
end
local page = { #ids == 2 * most and '(' .. ids[#ids] or '' }
for i = 1, #ids, 2 do
  -- One whose deadline has passed is still here until it is ended.
  local session, why = find_by_id(actor, ids[i])
  if why then
    return why
  end
  page[#page + 1] = session
end
return page
