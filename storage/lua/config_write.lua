-- Writes configuration items, all or none, with the rows of the audit log that tell of them.
-- KEYS[1] cfg  [2] cfv  [3] cfc  [4] cfn  [5] log  [6] seq  [7] audit log  [8] its end
-- ARGV[1] rows in the audit log that the new ones are chained to  [2] the last new row's hash; then for each item the 8 values below (STRIDE)
--   1 kind  2 id  3 expected version, '' = the id must be free  4 new version
--   5 unique name, '' = none; taken under `kind:name`  6 '+' live or '-' deleted  7 json
--   8 references: msgpack array of {field, kind, id}
-- then '', a row of the audit log for each item, and, optionally, packed bodies of entries for the log.
-- Returns {'written', version, entry …} or {'exists'|'version'|'name'|'reference', kind, id, field}
--   or {'audit'}: the audit log has grown meanwhile

local STRIDE = 8
if tonumber(redis.call('HGET', KEYS[8], 'count') or '0') ~= tonumber(ARGV[1]) then return {'audit'} end
local items, live = {}, {}
local i = 3
while ARGV[i] ~= '' do
  local item = {kind = ARGV[i], id = ARGV[i + 1], expected = ARGV[i + 2], version = ARGV[i + 3], name = ARGV[i + 4],
                sign = ARGV[i + 5], json = ARGV[i + 6], refs = ARGV[i + 7]}
  item.field = item.kind .. ':' .. item.id
  items[#items + 1] = item
  if item.sign == '+' then live[item.field] = true end
  i = i + STRIDE
end
local first_row = i + 1
local first_body = first_row + #items

local function is_live(field)
  if live[field] then return true end
  local stored = redis.call('HGET', KEYS[1], field)
  return stored and string.sub(stored, 1, 1) == '+'
end

local owner = {}  -- who has a name after this write: id, or false where it was given up
local function owner_of(name)
  if owner[name] ~= nil then return owner[name] end
  return redis.call('HGET', KEYS[4], name)
end

local names_of = {}  -- the name an item has now, remembered with it
for _, item in ipairs(items) do
  local stored = redis.call('HGET', KEYS[1], item.field)
  if item.expected == '' and stored then return {'exists', item.kind, item.id, ''} end
  if item.expected ~= '' then
    local version = stored and string.match(stored, '^.(%d+):')
    if version ~= item.expected then return {'version', item.kind, item.id, ''} end
    local name = redis.call('HGET', KEYS[4], 'of:' .. item.field)
    if name then
      names_of[item.field] = name
      owner[name] = false
    end
  end
  if item.sign == '+' then
    for _, ref in ipairs(cmsgpack.unpack(item.refs)) do
      if not is_live(ref[2] .. ':' .. ref[3]) then return {'reference', item.kind, item.id, ref[1]} end
    end
  end
end
for _, item in ipairs(items) do
  if item.name ~= '' and item.sign == '+' then
    local name = 'is:' .. item.kind .. ':' .. item.name
    local by = owner_of(name)
    if by and by ~= item.id then return {'name', item.kind, item.id, ''} end
    owner[name] = item.id
  end
end

-- A time, so that a version which a fail-over has lost is never given again to another configuration.
local t = redis.call('TIME')
local version = math.max(tonumber(redis.call('GET', KEYS[2]) or '0') + 1, t[1] * 1000 + math.floor(t[2] / 1000))
redis.call('SET', KEYS[2], string.format('%.0f', version))
for _, item in ipairs(items) do
  local old = names_of[item.field]
  if old then redis.call('HDEL', KEYS[4], old, 'of:' .. item.field) end
end
for _, item in ipairs(items) do
  redis.call('HSET', KEYS[1], item.field, item.sign .. item.version .. ':' .. item.json)
  redis.call('ZADD', KEYS[3], version, item.field)
  if item.name ~= '' and item.sign == '+' then
    local name = 'is:' .. item.kind .. ':' .. item.name
    redis.call('HSET', KEYS[4], name, item.id, 'of:' .. item.field, name)
  end
end

for n = 1, #items do
  redis.call('XADD', KEYS[7], string.format('%.0f-0', ARGV[1] + n), 'r', ARGV[first_row + n - 1])
end
redis.call('HSET', KEYS[8], 'count', ARGV[1] + #items, 'hash', ARGV[2])

local result = {'written', version}
for b = first_body, #ARGV do
  local position = redis.call('INCR', KEYS[6])
  local entry = '\150' .. cmsgpack.pack(position) .. cmsgpack.pack(t[1] * 1000 + math.floor(t[2] / 1000))
    .. ARGV[b] .. '\192\192\144'
  redis.call('XADD', KEYS[5], string.format('%.0f-0', position), 'e', entry)
  result[#result + 1] = entry
end
return result
