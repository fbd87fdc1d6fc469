-- Functions shared by the scripts that stand at the door: the configuration check and the rate limit.

local WINDOW_MS = 60000

local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

local newest_version = memo(function(key) return redis.call('GET', key) or '0' end)

-- Whether the caller decided on the newest configuration of the tenant.
local function is_current(prefix, tenant, version)
  return newest_version(prefix .. 'cfv:' .. tenant) == version
end

local windows = {}

-- A window of admissions as this call has left it: its clock, the same for all items, and the places used.
local function window(key, now)
  if windows[key] then return windows[key] end
  local newest = tonumber(redis.call('LINDEX', key, 0) or 0)
  if newest > now then now = newest end
  local oldest = redis.call('LINDEX', key, -1)
  while oldest and now - oldest > WINDOW_MS do
    redis.call('RPOP', key)
    oldest = redis.call('LINDEX', key, -1)
  end
  windows[key] = {now = now, text = string.format('%.0f', now), used = redis.call('LLEN', key)}
  return windows[key]
end

-- Sliding log: a list of the admission times of the last 60 s, newest first. A time leaves the window when more
-- than 60,000 ms have passed by a clock that counts whole milliseconds, so no window of 60 s ever holds more than
-- `limit`. A clock that steps back is held at the newest admission.
-- Returns admitted (boolean), remaining, ms until the next place is free (0 while there are places).
local function admit(prefix, tenant, route, limit, now)
  local key = prefix .. 'w:' .. tenant .. ':' .. route
  local open = window(key, now)
  if open.used >= limit then
    local blocking = tonumber(redis.call('LINDEX', key, limit - 1))
    return false, 0, blocking + WINDOW_MS + 1 - open.now
  end
  redis.call('LPUSH', key, open.text)
  if not open.prolonged then redis.call('PEXPIRE', key, WINDOW_MS + 1000) end
  open.prolonged, open.used = true, open.used + 1
  return true, limit - open.used, 0
end
