-- What may be asked twice and is done once.
--
-- `once:<name>` remembers what was done under a name: `<until> <cursor> <content>`, with the
-- cursor of its event. An empty name stands for none.

local ONCE_MS = 24 * 60 * 60 * 1000

-- The cursor of what was done under this name; 0 if that was something else; nil if nothing.
local function done_before(now, name, content)
  local done = name ~= '' and redis.call('GET', root .. ':once:' .. name)
  local till, cursor, asked = string.match(done or '', '^(%d+) (%d+) (.*)$')
  if till and now < tonumber(till) then
    return asked == content and tonumber(cursor) or 0
  end
end

local function remember(now, name, content, cursor)
  if name ~= '' then
    local till = now + ONCE_MS
    redis.call('SET', root .. ':once:' .. name,
      int(till) .. ' ' .. int(cursor) .. ' ' .. content, 'PXAT', cleanup_at(till))
  end
end
