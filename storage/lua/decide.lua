-- Logs decisions, in order, each wholly or not at all, and keeps what outcomes will ask for.
-- KEYS[1] {pNN}:log  KEYS[2] {pNN}:seq
-- ARGV[1] prefix `{pNN}:`, then for each decision the 15 values below (STRIDE). Keys of an item are made from the
-- prefix, hence lie in the slot of KEYS[1].
--    1 tenant             2 configuration version     3 route of the limit   4 limit
--    5 recommendation     6 its life in ms            7 customer             8 body (packed)
--    9 features (packed), kept joined with the time as `made`
--   10 for each rank three numbers of 4 bytes, big-endian: the rank and the lengths of what follows, the resolution
--      and propensity .. model key .. variant .. delivered (all packed)
--   11 event (packed): what summaries count for a rank that is delivered at once, see summary.lua
--   12 caps (packed) that must not be reached, see caps.lua
--   13 position of the customer's latest event that the caller knows of, '' = no matter
--   14 experiment, '' = none     15 variant
-- Returns for each {status, position, entry, remaining, wait_ms} with status recorded | stale | limited
--   | capped (entry: the places of the caps that are reached, packed)
--   | contacted: the customer has met more than the caller knows. Nothing happened then.

local STRIDE = 15
local prefix = ARGV[1]
local now = now_ms()

local function decide(i)
  local tenant, customer = ARGV[i + 1], ARGV[i + 7]
  if not is_current(prefix, tenant, ARGV[i + 2]) then return {'stale', 0, '', 0, 0} end
  if ARGV[i + 13] ~= '' and latest(prefix, tenant, customer) ~= tonumber(ARGV[i + 13]) then
    return {'contacted', 0, '', 0, 0}
  end
  local over = reached(prefix, tenant, cmsgpack.unpack(ARGV[i + 12]), now)
  if #over > 0 then return {'capped', 0, cmsgpack.pack(over), 0, 0} end
  local admitted, remaining, wait = admit(prefix, tenant, ARGV[i + 3], tonumber(ARGV[i + 4]), now)
  if not admitted then return {'limited', 0, '', remaining, wait} end

  local position, entry = append(now, ARGV[i + 8], '\192', '\192', '\144')
  local fields = {'customer', customer, 'made', cmsgpack.pack(now) .. ARGV[i + 9]}
  local ranks, at = ARGV[i + 10], 1
  while at <= #ranks do
    local rank, resolution_size, point_size, start = struct.unpack('>I4I4I4', ranks, at)
    local resolution = string.sub(ranks, start, start + resolution_size - 1)
    at = start + resolution_size + point_size
    local point = string.sub(ranks, start + resolution_size, at - 1)
    for _, value in ipairs({'r' .. rank, resolution, 'd' .. rank, point}) do fields[#fields + 1] = value end
    if string.sub(point, -1) == '\195' then
      local event = cmsgpack.unpack(ARGV[i + 11])
      local of = resolved(resolution)
      summarise(prefix, tenant, customer, of, event, now)
      remember(prefix, tenant, customer, of, event, now, position)
      roll(prefix, tenant, of, event, now)
      deliver(prefix, tenant, of, now)
    end
  end
  if ARGV[i + 14] ~= '' and #ranks > 0 then
    sample(prefix, tenant, ARGV[i + 14], ARGV[i + 15], customer, cmsgpack.unpack(ARGV[i + 11])[6])
    for _, value in ipairs({'experiment', ARGV[i + 14], 'variant', ARGV[i + 15]}) do fields[#fields + 1] = value end
  end
  local record = prefix .. 'r:' .. tenant .. ':' .. ARGV[i + 5]
  redis.call('HSET', record, unpack(fields))
  redis.call('PEXPIRE', record, ARGV[i + 6])
  return {'recorded', position, entry, remaining, wait}
end

local results = {}
for i = 1, #ARGV - 1, STRIDE do
  results[#results + 1] = decide(i)
end
finish()
return results
