-- A function shared by the scripts that write what happened: entries of the log.
-- It uses KEYS[1] {pNN}:log and KEYS[2] {pNN}:seq.

-- Appends one entry at the next position: the array of five parts described in storage/entry.py.
local function append(now, body, resolution, decision)
  local position = redis.call('INCR', KEYS[2])
  local entry = '\149' .. cmsgpack.pack(position) .. cmsgpack.pack(now) .. body .. resolution .. decision
  redis.call('XADD', KEYS[1], string.format('%.0f-0', position), 'e', entry)
  return position, entry
end
