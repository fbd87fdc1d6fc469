-- Functions shared by the scripts that write what happened: a tenant's deliveries by period, for frequency caps.
-- They use civil, day_at and DAY_MS of summary.lua. Keys (see storage/caps.py): `f:TENANT:PERIOD`, which expires.

-- Days from 1970-01-01 to the first day of a year.
local function new_year(year)
  return 365 * (year - 1970) + math.floor((year - 1969) / 4) - math.floor((year - 1901) / 100)
    + math.floor((year - 1601) / 400)
end

-- The day, the week (ISO 8601: that of its Thursday) and the month of a time, each with the day after its end.
local function periods(time)
  local today = day_at(time)
  local thursday = today.number - (today.number + 3) % 7 + 3
  local week_year = civil(thursday)
  return {
    {today.text, today.number + 1},
    {string.format('%04d-W%02d', week_year, math.floor((thursday - new_year(week_year)) / 7) + 1), thursday + 4},
    {today.month, today.number - today.day + 32},
  }
end

-- Counts a delivery at a time for its offer, channel and category.
local function deliver(prefix, tenant, of, time)
  local fields = {'offer:' .. of[1], 'channel:' .. of[3]}
  if of[5] then fields[3] = 'category:' .. of[5] end
  for _, period in ipairs(periods(time)) do
    local key = prefix .. 'f:' .. tenant .. ':' .. period[1]
    for _, field in ipairs(fields) do redis.call('HINCRBY', key, field, 1) end
    redis.call('PEXPIREAT', key, string.format('%.0f', (period[2] + 1) * DAY_MS))
  end
end

-- The places, from 1, of the caps that are reached now. caps: {place of the period in `periods`, field, maximum} …
local function reached(prefix, tenant, caps, now)
  local current, result = periods(now), {}
  for place, cap in ipairs(caps) do
    local count = redis.call('HGET', prefix .. 'f:' .. tenant .. ':' .. current[cap[1]][1], cap[2])
    if tonumber(count or '0') >= cap[3] then result[#result + 1] = place end
  end
  return result
end
