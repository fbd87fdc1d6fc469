-- Counts events of the log again, into keys beside those that are in use.
-- KEYS[1] {pNN}:log, for its slot
-- ARGV[1] prefix of the keys beside, then for each event the 10 values below (STRIDE)
--    1 tenant      2 time of its commit, ms   3 customer     4 position
--    5 resolution (packed)                    6 event (packed), see summary.lua; it has its delivery only if it counts
--    7 what metrics measure (packed), '' = nothing
--    8 recommendation, '' = none              9 experiment, '' = none   10 variant
-- An event without a resolution is a decision's sample of its experiment.

local STRIDE = 10

local function recount(i)
  local prefix, tenant, now, customer, resolution = ARGV[1], ARGV[i + 1], tonumber(ARGV[i + 2]), ARGV[i + 3], ARGV[i + 5]
  local event = cmsgpack.unpack(ARGV[i + 6])
  local record = prefix .. 'r:' .. tenant .. ':' .. ARGV[i + 8]
  if resolution == '' then
    redis.call('HSET', record, 'experiment', ARGV[i + 9], 'variant', ARGV[i + 10])
    return sample(prefix, tenant, ARGV[i + 9], ARGV[i + 10], customer, event[6])
  end
  local time, of = event[5] ~= 0 and event[5] or now, resolved(resolution)
  summarise(prefix, tenant, customer, of, event, time)
  remember(prefix, tenant, customer, of, event, time, tonumber(ARGV[i + 4]))
  roll(prefix, tenant, of, event, time)
  if ARGV[i + 8] ~= '' and string.find(event[1], 'p') then convert(prefix, tenant, record) end
  if ARGV[i + 7] ~= '' then measure(prefix, tenant, customer, of, event, time, cmsgpack.unpack(ARGV[i + 7])) end
  if string.find(event[1], 'd') then deliver(prefix, tenant, of, time) end
end

for i = 1, #ARGV - 1, STRIDE do recount(i) end
finish()
return 'counted'
