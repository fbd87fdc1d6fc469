-- A function shared by the scripts that write what happened: entries of the log.
-- It uses KEYS[1] {pNN}:log and KEYS[2] {pNN}:seq.

-- Appends one entry at the next position: the array of six parts described in storage/entry.py.
local function append(now, body, resolution, decision, touches)
  local position = redis.call('INCR', KEYS[2])
  local entry = '\150' .. cmsgpack.pack(position) .. cmsgpack.pack(now) .. body .. resolution .. decision .. touches
  redis.call('XADD', KEYS[1], string.format('%.0f-0', position), 'e', entry)
  return position, entry
end
