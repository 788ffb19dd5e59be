-- Forget a transfer that its taker has got. Repeating it changes nothing.
-- KEYS[1] the giver's budget hash
-- ARGV    1 epoch  2 the taker's shard  3 the transfer's number
-- Returns 1 if it was forgotten, 0 if there was no such transfer.
local key, target = KEYS[1], 'to:' .. ARGV[2]
local state = redis.call('HMGET', key, 'epoch', target)
if state[1] ~= ARGV[1] or not state[2] then return 0 end
if string.match(state[2], '^%d+') ~= ARGV[3] then return 0 end
return redis.call('HDEL', key, target)
