-- Says how far the log is archived, and cuts off what nobody needs from it any more, if no newer learner has taken
-- the partition.
-- KEYS[1] epoch  KEYS[2] arch  KEYS[3] log  KEYS[4] erasures
-- ARGV[1] the caller's epoch  [2] its timeline  [3] last position archived
--      [4] last position both archived and checkpointed
--      [5] erasures that the caller knows of, '' = no matter: what it has written may name who is erased by now
-- Returns 1; 0 the epoch is over; 2 the log was written anew; -1 another timeline

if timeline() ~= ARGV[2] then return -1 end
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[5] ~= '' and (redis.call('GET', KEYS[4]) or '0') ~= ARGV[5] then return 2 end
if tonumber(ARGV[3]) > tonumber(redis.call('GET', KEYS[2]) or 0) then redis.call('SET', KEYS[2], ARGV[3]) end
redis.call('XTRIM', KEYS[3], 'MINID', string.format('%.0f-0', tonumber(ARGV[4]) + 1))
return 1
