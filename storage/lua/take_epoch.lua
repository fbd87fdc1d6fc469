-- Makes the caller the partition's only learner, or lets it start from the checkpoint again.
-- KEYS[1] epoch  KEYS[2] ckpt     ARGV[1] the epoch it has, '' = none
-- Returns {epoch, checkpoint or false, timeline}; epoch 0: a newer learner has the partition, nothing happened

local epoch = ARGV[1]
if epoch == '' then
  epoch = redis.call('INCR', KEYS[1])
else
  if tonumber(redis.call('GET', KEYS[1]) or '0') > tonumber(epoch) then return {0, false, ''} end
  redis.call('SET', KEYS[1], epoch)  -- a fail-over may have lost it
end
return {tonumber(epoch), redis.call('GET', KEYS[2]), timeline()}
