-- Admits one request of a route that commits nothing.
-- KEYS[1] any key of the partition (it routes the call)
-- ARGV[1] prefix `{pNN}:`  [2] tenant  [3] configuration version the caller decided on  [4] route  [5] limit
-- Returns {'stale'} or {'admitted'|'limited', remaining, wait_ms}

local prefix, tenant = ARGV[1], ARGV[2]
if not is_current(prefix, tenant, ARGV[3]) then return {'stale'} end
local admitted, remaining, wait = admit(prefix, tenant, ARGV[4], tonumber(ARGV[5]), now_ms())
return {admitted and 'admitted' or 'limited', remaining, wait}
