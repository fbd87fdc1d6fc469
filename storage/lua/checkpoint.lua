-- Writes a checkpoint if no newer learner has taken the partition, and the log is the one that it was made from.
-- KEYS[1] epoch  KEYS[2] ckpt     ARGV[1] the caller's epoch  [2] its timeline  [3] state and position
-- Returns 1; 0 the epoch is over; -1 another timeline

if timeline() ~= ARGV[2] then return -1 end
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[3])
return 1
