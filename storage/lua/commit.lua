-- Commits outcomes, in order, each wholly or not at all.
-- KEYS[1] {pNN}:log  KEYS[2] {pNN}:seq
-- ARGV[1] prefix `{pNN}:`, then for each outcome the 15 values below (STRIDE). Keys of an item are made from the
-- prefix, hence lie in the slot of KEYS[1].
--    1 tenant             2 configuration version     3 route of the limit   4 limit, 0 = admitted before
--    5 idempotency digest 6 its life in ms            7 fingerprint of the request
--    8 '1': the caller knows it cannot be resolved    9 customer
--   10 body (packed)     11 resolution (packed), '' = by recommendation
--   12 recommendation, '' = none                     13 rank
--   14 event (packed): what summaries count, see summary.lua
--   15 what behavioural metrics measure of it (packed), see metrics.lua, '' = nothing
-- Returns for each {status, position, payload, remaining, wait_ms} with status
--   recorded (payload: the entry)          duplicate (payload: fingerprint .. the first entry)
--   stale | limited | refused              nothing happened (but that `refused` used up a place of the limit)
--   no_recommendation | no_rank | deleted | disagree           the same
--   archived (payload: fingerprint): a duplicate whose entry was moved to the archive

local STRIDE = 15
local prefix = ARGV[1]
local now = now_ms()

-- The first entry under an idempotency key; false when the key is free.
local function find_duplicate(key)
  local known = redis.call('GET', key)
  if not known then return false end
  local position = string.sub(known, 9)
  local found = redis.call('XRANGE', KEYS[1], position .. '-0', position .. '-0')
  if #found == 0 then return {'archived', tonumber(position), string.sub(known, 1, 8)} end
  return {'duplicate', tonumber(position), string.sub(known, 1, 8) .. found[1][2][2]}
end

-- What a recommendation showed at a rank: nil, status or resolution, decision (both packed; a decision ends with
-- msgpack's true, \195, where showing it was counted as a delivery).
local function recall(tenant, id, rank, customer, given)
  local record = redis.call('HMGET', prefix .. 'r:' .. tenant .. ':' .. id, 'customer', 'made', 'r' .. rank, 'd' .. rank)
  if not record[1] or record[1] ~= customer then return nil, 'no_recommendation' end
  if not record[3] then return nil, 'no_rank' end
  local shown = cmsgpack.unpack(record[3])
  if given ~= '' and cmsgpack.unpack(given)[2] ~= shown[2] then return nil, 'disagree' end
  local creative = redis.call('HGET', prefix .. 'cfg:' .. tenant, 'creative:' .. shown[2])
  if not creative or string.sub(creative, 1, 1) == '-' then return nil, 'deleted' end
  return record[3], '\150' .. record[2] .. record[4]
end

local function commit(i)
  local tenant, limit = ARGV[i + 1], tonumber(ARGV[i + 4])
  if not is_current(prefix, tenant, ARGV[i + 2]) then return {'stale', 0, '', 0, 0} end
  local admitted, remaining, wait = true, 0, 0
  if limit > 0 then admitted, remaining, wait = admit(prefix, tenant, ARGV[i + 3], limit, now) end
  if not admitted then return {'limited', 0, '', remaining, wait} end

  local idempotency = prefix .. 'i:' .. ARGV[i + 5]
  local first = find_duplicate(idempotency)
  if first then return {first[1], first[2], first[3], remaining, wait} end
  if ARGV[i + 8] == '1' then return {'refused', 0, '', remaining, wait} end

  local resolution, decision = ARGV[i + 11], '\192'
  if ARGV[i + 12] ~= '' then
    local shown, made = recall(tenant, ARGV[i + 12], ARGV[i + 13], ARGV[i + 9], resolution)
    if not shown then return {made, 0, '', remaining, wait} end
    resolution, decision = shown, made
  end
  local event = cmsgpack.unpack(ARGV[i + 14])
  if string.sub(decision, -1) == '\195' then event[1] = string.gsub(event[1], 'd', '') end  -- counted when it was shown
  local time = event[5] ~= 0 and event[5] or now
  local before = event[7] and touches(prefix, tenant, ARGV[i + 9], time) or '\144'
  local position, entry = append(now, ARGV[i + 10], resolution, decision, before)
  redis.call('SET', idempotency, ARGV[i + 7] .. string.format('%.0f', position), 'PX', ARGV[i + 6])
  local of = resolved(resolution)
  summarise(prefix, tenant, ARGV[i + 9], of, event, time)
  remember(prefix, tenant, ARGV[i + 9], of, event, time, position)
  roll(prefix, tenant, of, event, time)
  if ARGV[i + 12] ~= '' and string.find(event[1], 'p') then
    convert(prefix, tenant, prefix .. 'r:' .. tenant .. ':' .. ARGV[i + 12])
  end
  if ARGV[i + 15] ~= '' then
    measure(prefix, tenant, ARGV[i + 9], of, event, time, cmsgpack.unpack(ARGV[i + 15]))
  end
  if string.find(event[1], 'd') then deliver(prefix, tenant, of, time) end
  return {'recorded', position, entry, remaining, wait}
end

local results = {}
for i = 1, #ARGV - 1, STRIDE do
  results[#results + 1] = commit(i)
end
finish()
return results
