-- Create a campaign's money, or take over a changed budget. Repeating it changes nothing.
-- KEYS[1] budget hash
-- ARGV    1 budget  2 day_budget  3 day (ISO)  4 spent  5 day_spent (4 and 5: only for a new hash)
-- Returns 1 if the hash was created, 0 if it was there.
-- Amounts are nanos beyond 2^53, so Redis adds them (HINCRBY); Lua only passes the texts on.
local key = KEYS[1]
local budget, day_budget = ARGV[1], ARGV[2]

local function minus(amount)
  -- Redis takes no '-0' for an integer.
  return amount == '0' and '0' or '-' .. amount
end

local old = redis.call('HMGET', key, 'budget', 'day_budget')
if not old[1] then
  redis.call('HSET', key, 'budget', budget, 'available', budget, 'reserved', '0',
    'spent', ARGV[4], 'day', ARGV[3], 'day_budget', day_budget, 'day_available', day_budget,
    'day_spent', ARGV[5], 'late', '0')
  redis.call('HINCRBY', key, 'available', minus(ARGV[4]))
  redis.call('HINCRBY', key, 'day_available', minus(ARGV[5]))
  return 1
end
redis.call('HINCRBY', key, 'available', budget)
redis.call('HINCRBY', key, 'available', minus(old[1]))
redis.call('HINCRBY', key, 'day_available', day_budget)
redis.call('HINCRBY', key, 'day_available', minus(old[2]))
redis.call('HSET', key, 'budget', budget, 'day_budget', day_budget)
return 0
