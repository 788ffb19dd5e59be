-- Read campaigns' money and what their reservations come to, all of one moment. Changes nothing.
-- KEYS[1] stream  [2] buckets set  [3..] budget hashes
-- ARGV    1 what the key of a reservations hash begins with  2.. the id of each budget's campaign
-- Returns the newest id the stream has given out ('0-0' if there is none) and, per campaign, its
-- hash (flat) and the amounts its buckets hold, as texts: they may be beyond 2^53.
local last_id = '0-0'
if redis.call('EXISTS', KEYS[1]) == 1 then
  local info = redis.call('XINFO', 'STREAM', KEYS[1])
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then last_id = info[i + 1] end
  end
end

local ids, amounts = {}, {}
for i = 2, #ARGV do ids[i - 1], amounts[i - 1] = ARGV[i], {} end
for _, bucket in ipairs(redis.call('SMEMBERS', KEYS[2])) do
  for i, amount in ipairs(redis.call('HMGET', ARGV[1] .. bucket, unpack(ids))) do
    if amount then table.insert(amounts[i], amount) end
  end
end

local books = { last_id }
for i = 1, #ids do books[i + 1] = { redis.call('HGETALL', KEYS[i + 2]), amounts[i] } end
return books
