-- A function shared by the scripts that write what happened: a tenant's events by day.
-- It uses day_at and DAY_MS of summary.lua. Keys (see storage/rollup.py): `d:TENANT:YYYY-MM-DD`, which expires.

local ROLLED = {d = 1, c = 5, p = 7, n = 8, u = 9}  -- by letter of an event
local NAMED = {click = 2, dismiss = 3, accept = 4}   -- by outcome

local days = {}  -- by key: the rows that this call has moved, and when the key expires if it has not been told

-- Adds an event (see summary.lua) to the row of its day, offer, creative, channel and category:
-- impressions, clicks, dismissals, acceptances, conversions, outcomes, positive, negative, neutral.
local function roll(prefix, tenant, of, event, time)
  local today = day_at(time)
  local key = prefix .. 'd:' .. tenant .. ':' .. today.text
  local field = cmsgpack.pack({of[1], of[2], of[3], of[5] or ''})
  local moved = days[key] or {rows = {}}
  days[key] = moved
  local row = moved.rows[field]
  if not row then
    local known = redis.call('HGET', key, field)
    row = known and cmsgpack.unpack(known) or {0, 0, 0, 0, 0, 0, 0, 0, 0}
    if not known then moved.expires = string.format('%.0f', (today.number + 2 + event[6]) * DAY_MS) end
    moved.rows[field] = row
  end
  for letter in string.gmatch(event[1], '.') do row[ROLLED[letter]] = row[ROLLED[letter]] + 1 end
  if string.find(event[1], '[pnu]') then
    row[6] = row[6] + 1
    local named = NAMED[event[2]]
    if named then row[named] = row[named] + 1 end
  end
end

finishers[#finishers + 1] = function()
  for key, moved in pairs(days) do
    for field, row in pairs(moved.rows) do redis.call('HSET', key, field, cmsgpack.pack(row)) end
    if moved.expires then redis.call('PEXPIREAT', key, moved.expires) end
  end
end
