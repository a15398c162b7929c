#!lua flags=allow-oom
-- End sessions of the partition whose deadline has passed, the longest overdue first. Return
-- by how many milliseconds each was late.
--
-- It frees more than it writes, and a session has to end on a full server.
--
-- ARGV[8]  how many sessions to end at most
-- ARGV[9] to ARGV[12]: what `sweep` takes

if not sweep(root, ARGV[9], ARGV[10], ARGV[11], ARGV[12]) then
  return {}
end
local late = end_overdue(ARGV[8])
finish()
return late
