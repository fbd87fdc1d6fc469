-- Reads what changed in a tenant's configuration.
-- KEYS[1] cfg  KEYS[2] cfv  KEYS[3] cfc     ARGV[1] the version the reader has, 0 = none  [2] the timeline it is of
-- Returns {version, timeline, whole (1|0), kind:id, item, kind:id, item …}; whole: forget what you had.

local version = tonumber(redis.call('GET', KEYS[2]) or '0')
local known, now = tonumber(ARGV[1]), timeline()
local whole = known == 0 or known > version or ARGV[2] ~= now
local result = {version, now, whole and 1 or 0}
local fields = redis.call('ZRANGEBYSCORE', KEYS[3], whole and '-inf' or ('(' .. known), '+inf')
for _, field in ipairs(fields) do
  result[#result + 1] = field
  result[#result + 1] = redis.call('HGET', KEYS[1], field)
end
return result
