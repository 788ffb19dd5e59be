-- Take money out of a shard for another: the first of three steps. It is on its way from here until
-- give_share.lua has run there and forget_transfer.lua here.
-- KEYS[1] the giver's budget hash  [2] the giver's wanting hash
-- ARGV    1 epoch  2 the taker's shard  3 nanos  4 nanos of the day  5 campaign id
-- Returns the transfer's number and day, or nothing (and does nothing) if the shard has not that
-- much available, still has one on its way to that taker, or is of another epoch.
-- Amounts may be beyond 2^53: Redis adds them, Lua looks at the sign of what comes out.
local key, target = KEYS[1], 'to:' .. ARGV[2]
local amounts = { available = ARGV[3], day_available = ARGV[4] }

-- Redis takes no '-0' for an integer.
local function subtract(field, nanos)
  if nanos == '0' then return 0 end
  return redis.call('HINCRBY', key, field, '-' .. nanos)
end

if redis.call('HGET', key, 'epoch') ~= ARGV[1] then return false end
if redis.call('HEXISTS', key, target) == 1 then return false end
local enough = true
for field, nanos in pairs(amounts) do
  if nanos ~= '0' and subtract(field, nanos) < 0 then enough = false end
end
if not enough then
  for field, nanos in pairs(amounts) do redis.call('HINCRBY', key, field, nanos) end
  return false
end
subtract('budget', ARGV[3])
subtract('day_budget', ARGV[4])
local number = redis.call('HINCRBY', key, 'transfers', 1)
local day = redis.call('HGET', key, 'day')
redis.call('HSET', key, target, table.concat({ number, ARGV[3], ARGV[4], day }, ' '))
-- Whoever rebalances next finds it, should we not come to the end.
redis.call('HSETNX', KEYS[2], ARGV[5], '0')
return { number, day }
