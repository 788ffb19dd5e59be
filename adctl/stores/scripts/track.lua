-- Take one event: deduplicate, end its bid's reservation, count, and append it to the stream.
--
-- KEYS 1 seen hash of the bid's bucket   2 budget hash   3 reservations hash of the bid's bucket
--      4 the user's hash (any key of the slot when not identified)   5 counters hash   6 stream
--      7 exposed hash of the bucket's batch   8 the user's touches (any key of the slot if none)
-- ARGV 1 event id  2 bid id  3 kind  4 campaign id  5 event JSON  6 seen_ttl_sec
--      7 what the event does to the reservation: settle, release or keep
--      8 reserved_nanos  9 cost_nanos (of settle)
--      10 hold_sec  11 hold field to give back ('' for none)  12 now_ms  13 user_ttl_sec
--      14 the price it tells, in cpm micros
--      15 the field of the touch it is, '' for none  16 the touch  17 its ttl_sec
--      18 the most entries the stream may have  19.. the user's fields to count an impression in
-- Returns what became of it:
--      full (nothing has happened: the stream holds as much as it may);
--      taken, duplicate, repriced (a duplicate that tells another price);
--      taken all the same, but odd: unwon (billed by a notice before any win was told),
--      late (billed after its reservation expired), after_loss (won or
--      billed after a loss was told), after_win (a loss told after the win: nothing is released),
--      no_state (billed while Redis holds no money of the campaign), rebilled (its bid was billed by
--      another event, before the exchange's billing event was configured otherwise: costs nothing)
--
-- Amounts may be beyond 2^53: Redis adds them, Lua passes the texts on.
local seen, budget, reserved, user, exposed = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[7]
local event_id, bid_id, kind, campaign_id, ending = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[7]
local reserved_nanos, cost_nanos, now_ms = ARGV[8], ARGV[9], tonumber(ARGV[12])

-- What has happened to the bid: ' name=price' of each event, ' ended' with its reservation,
-- ' billed' with its cost, ' unheld' with its hold on the frequency cap.
local history = redis.call('HGET', seen, bid_id) or ''
local name = string.sub(event_id, #bid_id + 2)
local told_before = string.match(history .. ' ', ' ' .. name .. '=(%d+) ')
if told_before then
  local repeated = told_before == ARGV[14] and 'duplicate' or 'repriced'
  redis.call('HINCRBY', KEYS[5], repeated, 1)
  return repeated
end

if redis.call('XLEN', KEYS[6]) >= tonumber(ARGV[18]) then return 'full' end

local function happened(what) return string.find(history .. ' ', ' ' .. what .. '[= ]') ~= nil end
local function note(what) history = history .. ' ' .. what end

local function add(amount)
  redis.call('HINCRBY', budget, 'available', amount)
  redis.call('HINCRBY', budget, 'day_available', amount)
end

-- Take what was reserved for the bid out of a bucket; false if the bucket does not know it.
local function take_out(bucket)
  if redis.call('HEXISTS', bucket, campaign_id) == 0 then return false end
  local left = redis.call('HINCRBY', bucket, campaign_id, '-' .. reserved_nanos)
  if left < 0 then
    -- A bucket that expired and was bid in again (a clock was wrong): this is another bid's money.
    redis.call('HINCRBY', bucket, campaign_id, reserved_nanos)
    return false
  end
  if left == 0 then redis.call('HDEL', bucket, campaign_id) end
  return true
end

-- A bid's reservation ends once: whoever comes first takes it out of its bucket.
local function end_reservation()
  if happened('ended') then return false end
  note('ended')
  if take_out(reserved) then
    redis.call('HINCRBY', budget, 'reserved', '-' .. reserved_nanos)
    add(reserved_nanos)
    return true
  end
  -- It has expired, and could be billed all the same until now.
  if take_out(exposed) then redis.call('HINCRBY', budget, 'exposed', '-' .. reserved_nanos) end
  return false
end

local function spend()
  -- Redis takes no '-0' for an integer.
  if cost_nanos == '0' then return end
  add('-' .. cost_nanos)
  redis.call('HINCRBY', budget, 'spent', cost_nanos)
  redis.call('HINCRBY', budget, 'day_spent', cost_nanos)
end

-- Without a money state (Redis was emptied) nothing is booked here: the state is rebuilt from the
-- ledger, which will hold this event.
local known, verdict = redis.call('EXISTS', budget) == 1, 'taken'
local won = happened('win') or happened('bill') or happened('impression')
if kind == 'loss' and won then
  -- The exchange contradicts itself. The win stands: money is not given back that may be billed.
  verdict = 'after_win'
elseif kind ~= 'loss' and happened('loss') then
  verdict = 'after_loss'
elseif kind == 'bill' and not won then
  verdict = 'unwon'
end
local late = false
if ending == 'settle' and happened('billed') then
  verdict = 'rebilled'
elseif ending == 'settle' then
  note('billed')
  if known then
    late = not end_reservation()
    spend()
    if late then redis.call('HINCRBY', budget, 'late', cost_nanos) end
    if late and verdict ~= 'after_loss' then verdict = 'late' end
  else
    late, verdict = true, 'no_state'
  end
elseif ending == 'release' and known and verdict == 'taken' then
  end_reservation()
end

local function give_back_hold(field)
  local holds = redis.call('HGET', user, field)
  if not holds then return end
  if tonumber(holds) > 1 then redis.call('HINCRBY', user, field, -1)
  else redis.call('HDEL', user, field) end
end

-- Fields of windows that have passed; the key lives on as long as the user is seen.
local function prune()
  local hold = math.floor(now_ms / (tonumber(ARGV[10]) * 1000))
  for _, field in ipairs(redis.call('HKEYS', user)) do
    local window, n = string.match(field, '^%d+:(%d+):(%d+)$')
    local held = string.match(field, '^%d+:h:(%d+)$')
    if (window and (tonumber(n) + 9) * tonumber(window) * 125 < now_ms)
        or (held and tonumber(held) + 1 < hold) then
      redis.call('HDEL', user, field)
    end
  end
end

-- The hold goes with the impression that replaces it, or with the loss that ends the bid.
if ARGV[11] ~= '' and verdict ~= 'after_win' and not happened('unheld') then
  note('unheld')
  give_back_hold(ARGV[11])
end
if ARGV[15] ~= '' then
  redis.call('HSET', KEYS[8], ARGV[15], ARGV[16])
  redis.call('EXPIRE', KEYS[8], ARGV[17])
end
if #ARGV >= 19 then
  for i = 19, #ARGV do redis.call('HINCRBY', user, ARGV[i], 1) end
  if redis.call('TTL', user) < tonumber(ARGV[13]) then redis.call('EXPIRE', user, ARGV[13]) end
  if redis.call('HLEN', user) > 128 then prune() end
end

note(name .. '=' .. ARGV[14])
redis.call('HSET', seen, bid_id, history)
if redis.call('TTL', seen) < 0 then redis.call('EXPIRE', seen, ARGV[6]) end
redis.call('HINCRBY', KEYS[5], kind, 1)
redis.call('XADD', KEYS[6], '*', 'e', ARGV[5], 'late', late and '1' or '0', 'odd', verdict)
return verdict
