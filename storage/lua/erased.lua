-- Says that the archive has followed an erasure, if no newer learner has taken the partition.
-- KEYS[1] epoch  KEYS[2] erasures that the archive has yet to follow  KEYS[3] what came of this one
-- ARGV[1] the caller's epoch  ARGV[2] pseudonym  ARGV[3] entries that bear it in the archive  ARGV[4] life of KEYS[3] in ms
-- Returns 1; 0 the epoch is over, nothing happened

if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if redis.call('HDEL', KEYS[2], ARGV[2]) == 1 then redis.call('SET', KEYS[3], ARGV[3], 'PX', ARGV[4]) end
return 1
