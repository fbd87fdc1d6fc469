-- A function shared by the scripts that write what happened: a tenant's behavioural metrics.
-- It uses day_at, finite and DAY_MS of summary.lua. Keys (see storage/metrics.py): `m:TENANT:METRIC:PERIOD`, which expire.

local MAX_GROUPS = 10000  -- a metric by customer, say, must not fill the memory; as storage/metrics.py has it
local CLASSES = {p = 'positive', n = 'negative', u = 'neutral'}

local function matches(values, filter)
  for dimension, wanted in pairs(filter) do
    local found = false
    for _, value in ipairs(wanted) do found = found or values[dimension] == value end
    if not found then return false end
  end
  return true
end

-- Adds a value to a group: how many, sum, least and greatest. Where there are too many groups, to the group ''.
local function tally(key, group, value)
  local known = redis.call('HGET', key, group)
  if not known and redis.call('HLEN', key) >= MAX_GROUPS then
    group = ''
    known = redis.call('HGET', key, group)
  end
  local row = known and cmsgpack.unpack(known) or {0, 0, value, value}
  row = {row[1] + 1, finite(row[2] + value), math.min(row[3], value), math.max(row[4], value)}
  redis.call('HSET', key, group, cmsgpack.pack(row))
end

-- Counts an outcome (an event as in summary.lua) for metrics: {name, days of its window or 0, value, dimensions, filter} …
local function measure(prefix, tenant, customer, of, event, time, metrics)
  local values = {
    offerId = of[1], creativeId = of[2], channelId = of[3], categoryId = of[5] or '', customerId = customer,
    outcome = event[2], classification = CLASSES[string.match(event[1], '[pnu]')], direction = event[3],
  }
  local today = day_at(time)
  for _, metric in ipairs(metrics) do
    if matches(values, metric[5]) then
      local group = {}
      for place, dimension in ipairs(metric[4]) do group[place] = values[dimension] end
      local key = prefix .. 'm:' .. tenant .. ':' .. metric[1] .. ':'
      if metric[2] > 0 then
        key = key .. today.text
        tally(key, cmsgpack.pack(group), metric[3])
        redis.call('PEXPIREAT', key, string.format('%.0f', (today.number + 2 + metric[2]) * DAY_MS))
      else
        tally(key .. 'all', cmsgpack.pack(group), metric[3])
        redis.call('EXPIRE', key .. 'all', event[6] * 86400)
      end
    end
  end
end
