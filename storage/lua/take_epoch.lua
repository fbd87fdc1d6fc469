-- Makes the caller the partition's only learner.
-- KEYS[1] epoch  KEYS[2] ckpt     Returns {epoch, checkpoint or false}

return {redis.call('INCR', KEYS[1]), redis.call('GET', KEYS[2])}
