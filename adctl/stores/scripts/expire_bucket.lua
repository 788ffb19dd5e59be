-- Give back what one bucket of bids still has reserved: one operation, however many bids it holds.
-- A win billed after this finds no reservation and is booked as late; until the bids' tokens run
-- out, the amounts stay known as exposed. Repeating it changes nothing.
-- KEYS[1] reservations hash of the bucket  [2] buckets set  [3] exposed hash of its batch
--     [4] set of exposed batches  [5..] budget hashes
-- ARGV    1 bucket  2 batch  3.. the campaign id of each budget hash
-- Returns the number of campaigns that got money back, or -1 (and does nothing) if the bucket's
-- campaigns are not those that were named: they changed meanwhile, ask again.
local amounts = {}
for i = 5, #KEYS do amounts[i] = redis.call('HGET', KEYS[1], ARGV[i - 2]) end
if redis.call('HLEN', KEYS[1]) ~= #KEYS - 4 then return -1 end
for i = 5, #KEYS do
  if not amounts[i] then return -1 end
end
for i = 5, #KEYS do
  -- A budget hash that is gone is rebuilt without reservations; there is nothing to give back to.
  if redis.call('EXISTS', KEYS[i]) == 1 then
    redis.call('HINCRBY', KEYS[i], 'reserved', '-' .. amounts[i])
    redis.call('HINCRBY', KEYS[i], 'available', amounts[i])
    redis.call('HINCRBY', KEYS[i], 'day_available', amounts[i])
    redis.call('HINCRBY', KEYS[i], 'exposed', amounts[i])
    redis.call('HINCRBY', KEYS[3], ARGV[i - 2], amounts[i])
    redis.call('SADD', KEYS[4], ARGV[2])
  end
end
redis.call('DEL', KEYS[1])
redis.call('SREM', KEYS[2], ARGV[1])
return #KEYS - 4
