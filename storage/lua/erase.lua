-- Puts a rewritten log in the place of the log, deletes what is kept of a customer, and tells the audit log: all at once.
-- KEYS[1] log  [2] the rewritten log  [3] lock  [4] audit log  [5] its end  [6] erasures  [7] seq
--     [8] erasures that the archive has yet to follow  [9] arch
-- ARGV[1] token of the lock  [2] last position in the rewritten log  [3] customer  [4] the same as entries hold it
--     [5] rows in the audit log that the new one is chained to  [6] the new row's hash  [7] the new row
--     [8] tenant  [9] pseudonym  [10] how many keys to delete, then these; then key, field, key, field … to delete from hashes
--         (a field '' is a member, the customer, of a set)
-- Returns {'erased', time in ms, 1 if the archive has to follow, else 0}, or {'behind'}: the log has grown by an entry that names the customer or by too many,
--   {'audit'}: the audit log has grown, {'lost'}: somebody else has the lock; nothing happened then

local MAX_TAIL = 1000
if redis.call('GET', KEYS[3]) ~= ARGV[1] then return {'lost'} end
if (redis.call('HGET', KEYS[5], 'count') or '0') ~= ARGV[5] then return {'audit'} end

local tail = redis.call('XRANGE', KEYS[1], string.format('%.0f-0', ARGV[2] + 1), '+', 'COUNT', MAX_TAIL + 1)
if #tail > MAX_TAIL then return {'behind'} end
for _, entry in ipairs(tail) do
  if string.find(entry[2][2], ARGV[4], 1, true) then return {'behind'} end
end
for _, entry in ipairs(tail) do redis.call('XADD', KEYS[2], entry[1], 'e', entry[2][2]) end

local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
if first then
  redis.call('XTRIM', KEYS[2], 'MINID', first[1])
  redis.call('RENAME', KEYS[2], KEYS[1])
else
  redis.call('DEL', KEYS[2])
end

local keys = tonumber(ARGV[10])
for i = 11, 10 + keys do redis.call('UNLINK', ARGV[i]) end
for i = 11 + keys, #ARGV, 2 do
  if ARGV[i + 1] == '' then redis.call('SREM', ARGV[i], ARGV[3]) else redis.call('HDEL', ARGV[i], ARGV[i + 1]) end
end
redis.call('XADD', KEYS[4], string.format('%.0f-0', ARGV[5] + 1), 'r', ARGV[7])
redis.call('HSET', KEYS[5], 'count', ARGV[5] + 1, 'hash', ARGV[6])
redis.call('INCR', KEYS[6])
redis.call('DEL', KEYS[3])
local archived = redis.call('EXISTS', KEYS[9])
if archived == 1 then
  redis.call('HSET', KEYS[8], ARGV[9], cmsgpack.pack({ARGV[8], ARGV[3], tonumber(redis.call('GET', KEYS[7]) or 0)}))
end
local t = redis.call('TIME')
return {'erased', t[1] * 1000 + math.floor(t[2] / 1000), archived}
