-- What `restore` and `restore_only` return: the fields of a live session; the newest cursor of its
-- actor; and, if they are asked for, what `read_history` returns. Or what `check` returns for a
-- session that is over.
--
-- ARGV[2]  the actor
-- ARGV[3]  digest of the key
-- ARGV[4]  the cursor, or nothing
-- ARGV[5]  how long a history is kept after its newest event, in milliseconds

-- `extend` is called with a live session.
local function restore(extend)
  local actor = ARGV[2]
  local session, why = find(actor, ARGV[3])
  if not session then
    return why
  end
  extend(session)
  local last = read_last(actor)
  if ARGV[4] == '' then
    return { session, last }
  end
  return { session, last, read_history(actor, last, tonumber(ARGV[4]), tonumber(ARGV[5])) }
end
