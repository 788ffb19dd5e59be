-- Create a campaign's money, or take over a changed budget. Repeating it changes nothing.
-- KEYS[1] budget hash  [2] event stream  [3] buckets set  [4] set of exposed batches
--     [5] wanting hash  [6] the stream id up to which entries were trimmed  [7] generation
-- ARGV    1 budget  2 day_budget  3 day (ISO)
--         only for a hash that is made: 4 spent, 5 day_spent and 6 late, as the ledger and the
--         rejected events have them once the stream was flushed up to  7 this stream id;  8 campaign
--         id;  9 and 10 what the keys of reservations and of exposed hashes begin with
--         11 what the generation must be, '*' for any: who makes money knows no other server
--         12 the ids up to which every shard's stream was flushed then, joined by commas
--         13 '1' to make the hash anew from all that, though it is there
--         only where the campaign's money is divided among shards: 14 epoch
--         of its first shard, which begins with the whole but  15 and (of the day) 16, which are
--         17 and 18 each for the others;  13 is then an epoch that is over, or ''
--         of every other shard: 15 is ''; 16 '1' if it must be there already
-- Returns 1 if the hash was made, 2 if a budget has changed, 0 if neither; -1 (and does nothing)
-- if the hash should have been there; -2 (and does nothing) if the ledger has to be read again: the
-- stream no longer holds all that follows 7, or the hash was made from a newer reading; -3 (and does
-- nothing) if the generation is another.
-- Amounts are nanos beyond 2^53, so Redis adds them (HINCRBY); Lua only passes the texts on.
--
-- A hash counts only in the server it was made in: one that was restarted, or took over from
-- another, may hold an older state than was acknowledged. There it is made anew.
--
-- The first shard keeps the books of the whole: total and day_total are the campaign's budgets, and
-- a change of those is a change of its own share. What the others begin with is theirs from then on,
-- although they are told one by one; joined is 1 when all have been. Whatever a hash says of shares
-- and transfers counts within its epoch only.
local key = KEYS[1]
local budget, day_budget = ARGV[1], ARGV[2]
local epoch, first = ARGV[14], ARGV[15] ~= ''

local function minus(amount)
  -- Redis takes no '-0' for an integer.
  return amount == '0' and '0' or '-' .. amount
end

local function server_id()
  -- A server that does not tell has no name: then only the pacer's mark is left to go by.
  local info = redis.pcall('INFO', 'server')
  return type(info) == 'string' and string.match(info, 'run_id:(%x+)') or ''
end

local function is_beyond(one, other)
  local ms, seq = string.match(one, '^(%d+)-(%d+)$')
  local other_ms, other_seq = string.match(other, '^(%d+)-(%d+)$')
  ms, other_ms = tonumber(ms), tonumber(other_ms)
  return ms > other_ms or (ms == other_ms and tonumber(seq) > tonumber(other_seq))
end

-- Whether this server is another than the one that was found right: '' where none ever was.
local function is_other_server()
  if ARGV[11] == '*' then return false end
  if (redis.call('GET', KEYS[7]) or '') ~= ARGV[11] then return true end
  return ARGV[11] ~= '' and string.match(ARGV[11], ' (%x*)$') ~= server_id()
end

-- Whether the hash was made from a newer reading of the ledger: by a program that was not stopped
-- between reading and writing, as this one was.
local function is_older(read_at)
  if ARGV[11] == '*' or not read_at then return false end
  local told = string.gmatch(ARGV[12], '[^,]+')
  for known in string.gmatch(read_at, '[^,]+') do
    local ours = told()
    if ours and is_beyond(known, ours) then return true end
  end
  return false
end

-- What the stream holds of this campaign and the ledger does not know yet. An entry that was made of
-- a rejected one, which its seventh field says, is in ARGV 4 to 6 until it is booked.
local function spend_unflushed()
  local after, entries = ARGV[7], nil
  repeat
    entries = redis.call('XRANGE', KEYS[2], '(' .. after, '+', 'COUNT', 500)
    for _, entry in ipairs(entries) do
      after = entry[1]
      local fields = entry[2]
      local ok, event = pcall(cjson.decode, fields[2])
      local costs = ok and event.cost_nanos and not event.test and fields[6] ~= 'rebilled'
        and fields[7] ~= 'rejected'
      if costs and event.campaign_id == tonumber(ARGV[8]) then
        local cost = string.format('%.0f', event.cost_nanos)
        redis.call('HINCRBY', key, 'spent', cost)
        redis.call('HINCRBY', key, 'day_spent', cost)
        redis.call('HINCRBY', key, 'available', minus(cost))
        redis.call('HINCRBY', key, 'day_available', minus(cost))
        if fields[4] == '1' then redis.call('HINCRBY', key, 'late', cost) end
      end
    end
  until #entries == 0
end

-- What the campaign is over its new budget, late wins aside, was not overspent but cut.
local function note_cut()
  local now = redis.call('HMGET', key, 'available', 'late')
  redis.call('HSET', key, 'cut', '0')
  if string.sub(now[1], 1, 1) ~= '-' then return end
  redis.call('HSET', key, 'cut', string.sub(now[1], 2))
  redis.call('HINCRBY', key, 'cut', minus(now[2]))
  if string.sub(redis.call('HGET', key, 'cut'), 1, 1) == '-' then
    redis.call('HSET', key, 'cut', '0')
  end
end

-- What bids still hold, and expired ones could still cost: their buckets may outlive the hash.
local function count_buckets()
  for _, bucket in ipairs(redis.call('SMEMBERS', KEYS[3])) do
    local amount = redis.call('HGET', ARGV[9] .. bucket, ARGV[8])
    if amount then
      redis.call('HINCRBY', key, 'reserved', amount)
      redis.call('HINCRBY', key, 'available', minus(amount))
      redis.call('HINCRBY', key, 'day_available', minus(amount))
    end
  end
  for _, bucket in ipairs(redis.call('SMEMBERS', KEYS[4])) do
    local amount = redis.call('HGET', ARGV[10] .. bucket, ARGV[8])
    if amount then redis.call('HINCRBY', key, 'exposed', amount) end
  end
end

local old = redis.call('HMGET', key, 'budget', 'day_budget', 'late', 'epoch', 'total', 'day_total',
  'server', 'read_at')
local server = server_id()
local there = old[1] and old[7] == server
if epoch then
  if first then
    there = there and old[4] and old[4] ~= ARGV[13]
  else
    if there and old[4] == epoch then return 0 end
    there = false
    if ARGV[16] == '1' or (old[4] and old[4] > epoch) then return -1 end
  end
else
  there = there and ARGV[13] ~= '1'
end

if not there then
  if is_other_server() then return -3 end
  if is_beyond(redis.call('GET', KEYS[6]) or '0-0', ARGV[7]) then return -2 end
  if (first or not epoch) and is_older(old[8]) then return -2 end
  redis.call('DEL', key)
  redis.call('HSET', key, 'budget', budget, 'available', budget, 'reserved', '0',
    'spent', ARGV[4], 'day', ARGV[3], 'day_budget', day_budget, 'day_available', day_budget,
    'day_spent', ARGV[5], 'late', ARGV[6], 'exposed', '0', 'server', server,
    'read_at', ARGV[12])
  redis.call('HINCRBY', key, 'available', minus(ARGV[4]))
  redis.call('HINCRBY', key, 'day_available', minus(ARGV[5]))
  if epoch then redis.call('HSET', key, 'epoch', epoch) end
  if epoch and first then
    redis.call('HSET', key, 'total', budget, 'day_total', day_budget, 'joined', '0',
      'begin', ARGV[17], 'day_begin', ARGV[18])
    for _, field in ipairs({ 'budget', 'available' }) do
      redis.call('HINCRBY', key, field, minus(ARGV[15]))
      redis.call('HINCRBY', key, 'day_' .. field, minus(ARGV[16]))
    end
  end
  spend_unflushed()
  count_buckets()
  note_cut()
  return 1
end
local was, day_was = old[5] or old[1], old[6] or old[2]
for _, field in ipairs({ 'budget', 'available' }) do
  redis.call('HINCRBY', key, field, budget)
  redis.call('HINCRBY', key, field, minus(was))
  redis.call('HINCRBY', key, 'day_' .. field, day_budget)
  redis.call('HINCRBY', key, 'day_' .. field, minus(day_was))
end
if was ~= budget then note_cut() end
if was == budget and day_was == day_budget then return 0 end
if epoch then
  redis.call('HSET', key, 'total', budget, 'day_total', day_budget)
  -- The shares have to be put right, by whoever comes to it.
  redis.call('HSETNX', KEYS[5], ARGV[8], '0')
end
return 2
