-- Reads what a configuration write needs to tell the audit log.
-- KEYS[1] cfg  KEYS[2] the end of the audit log     ARGV: the fields (kind:id) that will be written
-- Returns {time in ms, rows in the audit log, hash of the last ('' = none), stored item or false …}

local t = redis.call('TIME')
local tip = redis.call('HMGET', KEYS[2], 'count', 'hash')
local result = {t[1] * 1000 + math.floor(t[2] / 1000), tonumber(tip[1] or '0'), tip[2] or ''}
for _, field in ipairs(ARGV) do
  result[#result + 1] = redis.call('HGET', KEYS[1], field)
end
return result
