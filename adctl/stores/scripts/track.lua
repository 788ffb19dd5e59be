-- Take one event: deduplicate, end its bid's reservation, count, and append it to the stream.
--
-- KEYS 1 seen set of the bid's bucket   2 budget hash   3 reservations hash of the bid's bucket
--      4 the user's hash (any key of the slot when not identified)   5 counters hash   6 stream
-- ARGV 1 event id  2 bid id  3 kind  4 campaign id  5 event JSON  6 seen_ttl_sec
--      7 what the event does to the reservation: settle, release or keep
--      8 reserved_nanos  9 cost_nanos (of settle)
--      10 hold_sec  11 hold field to give back ('' for none)  12 now_ms  13 user_ttl_sec
--      14.. the user's fields to count an impression in
-- Returns 'duplicate', 'late' (billed after its reservation was gone) or 'taken'.
--
-- Amounts may be beyond 2^53: Redis adds them, Lua passes the texts on.
local seen, budget, reserved, user = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local bid_id, campaign_id, ending = ARGV[2], ARGV[4], ARGV[7]
local reserved_nanos, cost_nanos, now_ms = ARGV[8], ARGV[9], tonumber(ARGV[12])

if redis.call('SADD', seen, ARGV[1]) == 0 then return 'duplicate' end
if redis.call('TTL', seen) < 0 then redis.call('EXPIRE', seen, ARGV[6]) end

local function add(amount)
  redis.call('HINCRBY', budget, 'available', amount)
  redis.call('HINCRBY', budget, 'day_available', amount)
end

-- A bid's reservation ends once: whoever comes first takes it out of its bucket. A bucket that no
-- longer knows the campaign has been expired.
local function end_reservation()
  if redis.call('SADD', seen, bid_id) == 0 then return false end
  if redis.call('HEXISTS', reserved, campaign_id) == 0 then return false end
  local left = redis.call('HINCRBY', reserved, campaign_id, '-' .. reserved_nanos)
  if left == 0 then redis.call('HDEL', reserved, campaign_id) end
  redis.call('HINCRBY', budget, 'reserved', '-' .. reserved_nanos)
  add(reserved_nanos)
  return true
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
local late, known = false, redis.call('EXISTS', budget) == 1
if ending == 'settle' then
  late = not (known and end_reservation())
  if known then
    spend()
    if late then redis.call('HINCRBY', budget, 'late', cost_nanos) end
  end
elseif ending == 'release' and known then
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
if ARGV[11] ~= '' and redis.call('SADD', seen, bid_id .. ':hold') == 1 then
  give_back_hold(ARGV[11])
end
if #ARGV >= 14 then
  for i = 14, #ARGV do redis.call('HINCRBY', user, ARGV[i], 1) end
  if redis.call('TTL', user) < tonumber(ARGV[13]) then redis.call('EXPIRE', user, ARGV[13]) end
  if redis.call('HLEN', user) > 128 then prune() end
end

redis.call('HINCRBY', KEYS[5], ARGV[3], 1)
redis.call('XADD', KEYS[6], '*', 'e', ARGV[5], 'late', late and '1' or '0')
return late and 'late' or 'taken'
