-- Writes a checkpoint if no newer learner has taken the partition.
-- KEYS[1] epoch  KEYS[2] ckpt     ARGV[1] the caller's epoch  ARGV[2] state and position     Returns 1 or 0

if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[2])
return 1
