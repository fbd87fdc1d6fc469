-- Puts keys that were counted again in the place of those in use, all at once.
-- KEYS[1] {pNN}:seq  KEYS[2] {pNN}:erasures
-- ARGV[1] the position that was counted up to  [2] prefix of the keys beside  [3] prefix of those in use
--     [4] erasures before the count  [5] how many keys to delete, then these, then the keys to put in place
-- Returns 1, or 0 if the log has grown, or -1 if it was written anew, so that what was counted may name who is
-- erased by now: nothing happened then

if (redis.call('GET', KEYS[1]) or '0') ~= ARGV[1] then return 0 end
if (redis.call('GET', KEYS[2]) or '0') ~= ARGV[4] then return -1 end
local old = tonumber(ARGV[5])
for i = 6, 5 + old do redis.call('UNLINK', ARGV[i]) end
for i = 6 + old, #ARGV do
  if redis.call('EXISTS', ARGV[i]) == 1 then
    redis.call('RENAME', ARGV[i], ARGV[3] .. string.sub(ARGV[i], #ARGV[2] + 1))
  end
end
return 1
