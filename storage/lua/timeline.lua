-- A function shared by the scripts that rely on what was read before.

-- Which history of writes this Redis goes on with. It is another one after a restart or a fail-over: the last writes
-- of the one before may be lost.
local function timeline()
  return string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)') or ''
end
