-- Forget what one batch of expired bids could still have cost: their tokens have run out, and a
-- win of theirs is refused from now on. Repeating it changes nothing.
-- KEYS[1] exposed hash of the batch  [2] set of exposed batches  [3..] budget hashes
-- ARGV    1 batch  2.. the campaign id of each budget hash
-- Returns the number of campaigns, or -1 (and does nothing) if the batch's campaigns are not those
-- that were named: they changed meanwhile, ask again.
local amounts = {}
for i = 3, #KEYS do amounts[i] = redis.call('HGET', KEYS[1], ARGV[i - 1]) end
if redis.call('HLEN', KEYS[1]) ~= #KEYS - 2 then return -1 end
for i = 3, #KEYS do
  if not amounts[i] then return -1 end
end
for i = 3, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 1 then
    redis.call('HINCRBY', KEYS[i], 'exposed', '-' .. amounts[i])
  end
end
redis.call('DEL', KEYS[1])
redis.call('SREM', KEYS[2], ARGV[1])
return #KEYS - 2
