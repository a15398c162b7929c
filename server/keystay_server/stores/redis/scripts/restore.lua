#!lua flags=allow-oom
-- Restore a session. It writes a deadline if one is due, and otherwise nothing.

return restore(function(session)
  local expires = extension(session[EXPIRES], session[TTL], session[ENDS])
  if expires then
    session[EXPIRES] = expires
    set_deadline(session.digest, expires)
  end
end)
