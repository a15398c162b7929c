-- What may be asked twice and is done once.
--
-- `once:<length of the name>:<name>:<actor>` remembers what was done under a name: `<until>
-- <cursor> <content>`, with the cursor of its event. An empty name stands for none.

local ONCE_MS = 24 * 60 * 60 * 1000

local function once_key(actor, name)
  return root .. ':once:' .. #name .. ':' .. name .. ':' .. actor
end

-- The cursor of what was done under this name; 0 if that was something else; nil if nothing.
local function done_before(actor, name, content)
  local done = name ~= '' and redis.call('GET', once_key(actor, name))
  local till, cursor, asked = string.match(done or '', '^(%d+) (%d+) (.*)$')
  if till and now_ms() < tonumber(till) then
    return asked == content and tonumber(cursor) or 0
  end
end

local function remember(actor, name, content, cursor)
  if name ~= '' then
    local till = now_ms() + ONCE_MS
    redis.call('SET', once_key(actor, name), int(till) .. ' ' .. cursor .. ' ' .. content,
      'PXAT', cleanup_at(till))
  end
end
