-- Begin a new day: nothing spent yet, and what is still reserved is held against the new day,
-- because it may be billed in it. Repeating it for the same or an older day changes nothing.
-- KEYS[1] budget hash
-- ARGV    1 day (ISO)
-- Returns 1 if the day was begun, 0 if it already was or there is no such hash.
local key = KEYS[1]
local state = redis.call('HMGET', key, 'day', 'day_budget', 'reserved')
if not state[1] or state[1] >= ARGV[1] then return 0 end
redis.call('HSET', key, 'day', ARGV[1], 'day_spent', '0', 'day_available', state[2])
-- Redis takes no '-0' for an integer.
if state[3] ~= '0' then redis.call('HINCRBY', key, 'day_available', '-' .. state[3]) end
return 1
