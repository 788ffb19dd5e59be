-- Note in the books of the whole that every other shard has been told its share.
-- KEYS[1] budget hash of the first shard
-- ARGV    1 epoch
-- Returns 1 if it was noted, 0 if that epoch is over.
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'joined', '1')
return 1
