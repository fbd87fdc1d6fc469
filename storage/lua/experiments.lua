-- Functions shared by the scripts that write what happened: what the variants of an experiment have shown and won.
-- Keys (see storage/experiments.py): `x:TENANT:EXPERIMENT`, a hash, and `xc:TENANT:EXPERIMENT`, its customers.

-- Counts a decision for a variant, and its customer once. Both keys live as long as days are kept, from here on.
local function sample(prefix, tenant, experiment, variant, customer, days_kept)
  local counts = prefix .. 'x:' .. tenant .. ':' .. experiment
  local customers = prefix .. 'xc:' .. tenant .. ':' .. experiment
  redis.call('HINCRBY', counts, 'samples:' .. variant, 1)
  if redis.call('SADD', customers, customer) == 1 then redis.call('HINCRBY', counts, 'customers:' .. variant, 1) end
  for _, key in ipairs({counts, customers}) do redis.call('EXPIRE', key, days_kept * 86400) end
end

-- Counts the first positive outcome of a decision, told by the recommendation's record.
local function convert(prefix, tenant, record)
  local of = redis.call('HMGET', record, 'experiment', 'variant', 'converted')
  if not of[1] or of[3] then return end
  redis.call('HSET', record, 'converted', '1')
  redis.call('HINCRBY', prefix .. 'x:' .. tenant .. ':' .. of[1], 'conversions:' .. of[2], 1)
end
