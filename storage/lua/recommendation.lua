-- Stores a recommendation once.
-- KEYS[1] the record
-- ARGV[1] its life in ms  [2] packed features, kept joined with the time of registration as `made`
--      [3…] field, value, field, value …; `digest` tells whether two requests mean the same
-- Returns 'created', 'repeated' (there with this digest) or 'taken' (there with another)

local digest
for i = 3, #ARGV, 2 do
  if ARGV[i] == 'digest' then digest = ARGV[i + 1] end
end
local known = redis.call('HGET', KEYS[1], 'digest')
if known then return known == digest and 'repeated' or 'taken' end

local t = redis.call('TIME')
local made = cmsgpack.pack(t[1] * 1000 + math.floor(t[2] / 1000)) .. ARGV[2]
redis.call('HSET', KEYS[1], 'made', made, unpack(ARGV, 3))
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 'created'
