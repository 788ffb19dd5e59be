-- Give back what some campaigns' bids of one bucket still have reserved: one operation a campaign,
-- however many bids it holds. Once nobody has anything reserved in it the bucket is forgotten.
-- A win billed after this finds no reservation and is booked as late; until the bids' tokens run
-- out, the amounts stay known as exposed. Repeating it changes nothing.
-- KEYS[1] reservations hash of the bucket  [2] buckets set  [3] exposed hash of its batch
--     [4] set of exposed batches  [5..] budget hashes: as many as Redis may be kept with
-- ARGV    1 bucket  2 batch  3.. the campaign id of each budget hash
-- Returns 1 if the bucket was forgotten, 0 if others have something reserved there.
for i = 5, #KEYS do
  local campaign_id = ARGV[i - 2]
  local amount = redis.call('HGET', KEYS[1], campaign_id)
  if amount then
    -- A budget hash that is gone is rebuilt without reservations; there is nothing to give back to.
    if redis.call('EXISTS', KEYS[i]) == 1 then
      redis.call('HINCRBY', KEYS[i], 'reserved', '-' .. amount)
      redis.call('HINCRBY', KEYS[i], 'available', amount)
      redis.call('HINCRBY', KEYS[i], 'day_available', amount)
      redis.call('HINCRBY', KEYS[i], 'exposed', amount)
      redis.call('HINCRBY', KEYS[3], campaign_id, amount)
      redis.call('SADD', KEYS[4], ARGV[2])
    end
    redis.call('HDEL', KEYS[1], campaign_id)
  end
end
if redis.call('HLEN', KEYS[1]) > 0 then return 0 end
redis.call('SREM', KEYS[2], ARGV[1])
return 1
