-- Forget what some campaigns' expired bids of one batch could still have cost: their tokens have run
-- out, and a win of theirs is refused from now on. Once it holds nobody's the batch is forgotten.
-- Repeating it changes nothing.
-- KEYS[1] exposed hash of the batch  [2] set of exposed batches  [3..] budget hashes: as many as
--     Redis may be kept with
-- ARGV    1 batch  2.. the campaign id of each budget hash
-- Returns 1 if the batch was forgotten, 0 if it holds others'.
for i = 3, #KEYS do
  local campaign_id = ARGV[i - 1]
  local amount = redis.call('HGET', KEYS[1], campaign_id)
  if amount then
    if redis.call('EXISTS', KEYS[i]) == 1 then
      redis.call('HINCRBY', KEYS[i], 'exposed', '-' .. amount)
    end
    redis.call('HDEL', KEYS[1], campaign_id)
  end
end
if redis.call('HLEN', KEYS[1]) > 0 then return 0 end
redis.call('SREM', KEYS[2], ARGV[1])
return 1
