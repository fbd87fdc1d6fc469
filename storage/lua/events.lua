-- Functions shared by the scripts that write what happened: the latest events, each in short.
-- Keys (see storage/events.py): `h:TENANT:CUSTOMER` and `h:TENANT`, lists, newest commit first, which expire.

local KEPT = {customer = 500, tenant = 1000}
local TOUCH_MS = 30 * 86400000

local lists = {}  -- by key: the rows of a tenant that this call has made, newest last, and how long they live

-- Remembers an event (see summary.lua) of a customer at a time with what it was of.
local function remember(prefix, tenant, customer, of, event, time, position)
  local letters = event[1] .. (event[7] and 't' or '')
  local row = cmsgpack.pack({position, time, letters, event[2], of[1], of[2], of[3], of[5] or ''})
  local life = string.format('%.0f', (event[6] + 2) * 86400000)
  local all = prefix .. 'h:' .. tenant
  local own = all .. ':' .. customer
  if redis.call('LPUSH', own, row) > KEPT.customer then redis.call('LTRIM', own, 0, KEPT.customer - 1) end
  redis.call('PEXPIRE', own, life)
  lists[all] = lists[all] or {}
  table.insert(lists[all], row)
  lists[all].life = life
end

finishers[#finishers + 1] = function()
  for key, rows in pairs(lists) do
    local first = math.max(1, #rows - KEPT.tenant + 1)  -- those before would be cut off, and are too many to unpack
    if redis.call('LPUSH', key, unpack(rows, first)) > KEPT.tenant then redis.call('LTRIM', key, 0, KEPT.tenant - 1) end
    redis.call('PEXPIRE', key, rows.life)
  end
end

-- The touches before a conversion at a time, packed, oldest first: offer, creative, channel, time of each delivery
-- and positive outcome of the customer in the 30 days before.
local function touches(prefix, tenant, customer, time)
  local found = {}
  local rows = redis.call('LRANGE', prefix .. 'h:' .. tenant .. ':' .. customer, 0, -1)
  for place = #rows, 1, -1 do
    local row = cmsgpack.unpack(rows[place])
    if row[2] <= time and row[2] >= time - TOUCH_MS and string.find(row[3], '[dp]') then
      found[#found + 1] = {row[5], row[6], row[7], row[2], #found}
    end
  end
  table.sort(found, function(a, b)
    if a[4] ~= b[4] then return a[4] < b[4] end
    return a[5] < b[5]
  end)
  for _, touch in ipairs(found) do touch[5] = nil end
  return cmsgpack.pack(found)
end

-- The position of the customer's latest event, 0 where there is none.
local function latest(prefix, tenant, customer)
  local row = redis.call('LINDEX', prefix .. 'h:' .. tenant .. ':' .. customer, 0)
  return row and cmsgpack.unpack(row)[1] or 0
end
