-- Give a shard what take_share.lua has taken out of another. Repeating it changes nothing.
-- KEYS[1] the taker's budget hash
-- ARGV    1 epoch  2 the giver's shard  3 the transfer's number  4 nanos  5 nanos of the day
--         6 the giver's day (ISO) when they were taken
-- Returns 1 if the taker has got them, now or before; 0 (and does nothing) if it cannot yet: it is of
-- another epoch, or still in an older day, which money of the new one must not be spent in.
local key, source = KEYS[1], 'from:' .. ARGV[2]
local state = redis.call('HMGET', key, 'epoch', 'day', source)
if state[1] ~= ARGV[1] or state[2] < ARGV[6] then return 0 end
if state[3] and tonumber(state[3]) >= tonumber(ARGV[3]) then return 1 end
redis.call('HSET', key, source, ARGV[3])
redis.call('HINCRBY', key, 'budget', ARGV[4])
redis.call('HINCRBY', key, 'available', ARGV[4])
redis.call('HINCRBY', key, 'day_budget', ARGV[5])
redis.call('HINCRBY', key, 'day_available', ARGV[5])
return 1
