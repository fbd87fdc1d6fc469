-- A function shared by the scripts that write what happened: a tenant's events by day.
-- It uses civil and DAY_MS of summary.lua. Keys (see storage/rollup.py): `d:TENANT:YYYY-MM-DD`, which expires.

local ROLLED = {d = 1, c = 5, p = 7, n = 8, u = 9}  -- by letter of an event
local NAMED = {click = 2, dismiss = 3, accept = 4}   -- by outcome

-- Adds an event (see summary.lua) to the row of its day, offer, creative, channel and category:
-- impressions, clicks, dismissals, acceptances, conversions, outcomes, positive, negative, neutral.
local function roll(prefix, tenant, resolution, event, time)
  local of = cmsgpack.unpack(resolution)
  local today = math.floor(time / DAY_MS)
  local key = prefix .. 'd:' .. tenant .. ':' .. string.format('%04d-%02d-%02d', civil(today))
  local field = cmsgpack.pack({of[1], of[2], of[3], of[5] or ''})
  local known = redis.call('HGET', key, field)
  local row = known and cmsgpack.unpack(known) or {0, 0, 0, 0, 0, 0, 0, 0, 0}
  for letter in string.gmatch(event[1], '.') do row[ROLLED[letter]] = row[ROLLED[letter]] + 1 end
  if string.find(event[1], '[pnu]') then
    row[6] = row[6] + 1
    local named = NAMED[event[2]]
    if named then row[named] = row[named] + 1 end
  end
  redis.call('HSET', key, field, cmsgpack.pack(row))
  if not known then redis.call('PEXPIREAT', key, string.format('%.0f', (today + 2 + event[6]) * DAY_MS)) end
end
