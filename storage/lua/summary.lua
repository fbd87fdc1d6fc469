-- Functions shared by the scripts that write what happened: summaries of a customer's events.
-- Keys (see storage/summaries.py): `s:TENANT:all:CUSTOMER`, and `s:TENANT:YYYY-MM:CUSTOMER`, which expires.

local DAY_MS = 86400000
local LARGEST = 1.7976931348623157e308
local PLACES = {d = 1, p = 2, n = 3, u = 4, c = 5}

-- Year, month and day of a number of days since 1970-01-01 (H. Hinnant 2013, "chrono-Compatible Low-Level Date
-- Algorithms", civil_from_days).
local function civil(days)
  local z = days + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local shifted = math.floor((5 * doy + 2) / 153)
  local day = doy - math.floor((153 * shifted + 2) / 5) + 1
  local month = shifted < 10 and shifted + 3 or shifted - 9
  return yoe + era * 400 + (month <= 2 and 1 or 0), month, day
end

-- The day of a time: its number, its text, its month's text, its place in the month and its number's of the year.
local day_of = memo(function(number)
  local year, month, day = civil(number)
  local text = string.format('%04d-%02d', year, month)
  return {number = number, year = year, month = text, day = day, text = text .. string.format('-%02d', day)}
end)

local function day_at(time)
  return day_of(math.floor(time / DAY_MS))
end

-- A sum that stays a finite number, whatever values were told.
local function finite(sum)
  return math.max(-LARGEST, math.min(LARGEST, sum))
end

-- Adds an event to one row: deliveries, positive, negative, neutral, conversions, value, then time, outcome and
-- direction of the latest event; with `each`, the latest time of each outcome too, '' for deliveries. Returns whether
-- the row is new.
local function add(key, field, event, time, each)
  local known = redis.call('HGET', key, field)
  local row = known and cmsgpack.unpack(known) or {0, 0, 0, 0, 0, 0, time, event[2], event[3]}
  for letter in string.gmatch(event[1], '.') do
    row[PLACES[letter]] = row[PLACES[letter]] + 1
  end
  row[6] = finite(row[6] + event[4])
  if time >= row[7] then row[7], row[8], row[9] = time, event[2], event[3] end
  if each then
    local times = row[10] or {}
    if string.find(event[1], '[pnu]') then times[event[2]] = math.max(times[event[2]] or 0, time) end
    if string.find(event[1], 'd') then times[''] = math.max(times[''] or 0, time) end
    row[10] = times
  end
  redis.call('HSET', key, field, cmsgpack.pack(row))
  return not known
end

-- Counts an event of a customer at a time with an offer, a creative and a channel: for good, and for its day.
-- event: {letters, outcome, direction, value, its own time in ms or 0, days that a day is kept, whether it is
--   attributed to what came before}
local function summarise(prefix, tenant, customer, of, event, time)
  local today = day_at(time)
  local start = prefix .. 's:' .. tenant .. ':'
  add(start .. 'all:' .. customer, cmsgpack.pack({of[1], of[2], of[3]}), event, time, true)
  local key = start .. today.month .. ':' .. customer
  if add(key, cmsgpack.pack({of[1], of[2], of[3], today.day}), event, time) then
    -- A month has at most 31 days, and its last one is kept as long as any.
    redis.call('PEXPIREAT', key, string.format('%.0f', (today.number - today.day + 32 + event[6]) * DAY_MS))
  end
end
