-- Decide the auctions of one bid request and reserve what the winners may cost.
--
-- KEYS 1 the user's hash (any key of the slot when the user is not identified)
--      2 reservations hash of the bid's bucket   3 buckets set   4.. one budget hash per campaign
-- ARGV 1 now_ms  2 bucket  3 hold_sec  4 identified (0/1)  5 campaigns  6 imps
--      per campaign, in the order of its key: campaign id, number of caps, then limit and
--        window_sec of each (a campaign whose caps do not apply is sent without any)
--      per imp: number of candidates, then of each, dearest first: the campaign's place (1..), its
--        bid and the least it may pay, both in cpm micros
-- Returns, flat, per imp: the winning candidate's place (1..) or 0, the price in cpm micros, the
--      runner-up's place or 0, and one reason per candidate:
--      0 not looked at  1 won  2 could have won  3 frequency cap  4 total budget  5 day's budget
--      6 no money state  7 won another imp of this request
--
-- A CPM in micros is the cost of one impression in nanos. Prices are below 2^53 and may be compared
-- here; amounts may not, so Redis adds them and only texts short enough are read as numbers.
local user, reserved, buckets = KEYS[1], KEYS[2], KEYS[3]
local now_ms, bucket, hold_ms = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3]) * 1000
local identified, n_campaigns, n_imps = ARGV[4] == '1', tonumber(ARGV[5]), tonumber(ARGV[6])
local hold = math.floor(now_ms / hold_ms)

local campaigns, at = {}, 7
for i = 1, n_campaigns do
  local caps, n_caps = {}, tonumber(ARGV[at + 1])
  for c = 1, n_caps do
    caps[c] = { limit = tonumber(ARGV[at + 2 * c]), window = tonumber(ARGV[at + 2 * c + 1]) }
  end
  campaigns[i] = { id = ARGV[at], key = KEYS[3 + i], caps = caps }
  at = at + 2 + 2 * n_caps
end

-- Impressions in the window's current and eight older eighths, plus bids still in flight.
local function capped(campaign)
  if campaign.capped == nil then
    campaign.capped = false
    for _, cap in ipairs(campaign.caps) do
      local n = math.floor(now_ms / (cap.window * 125))
      local fields = { campaign.id .. ':h:' .. hold, campaign.id .. ':h:' .. (hold - 1) }
      for back = 0, 8 do
        fields[#fields + 1] = string.format('%s:%d:%d', campaign.id, cap.window, n - back)
      end
      local shown = 0
      for _, count in ipairs(redis.call('HMGET', user, unpack(fields))) do
        if count then shown = shown + tonumber(count) end
      end
      if shown >= cap.limit then campaign.capped = true end
    end
  end
  return campaign.capped
end

local function covers(amount, price)
  if string.sub(amount, 1, 1) == '-' then return false end
  return #amount > 15 or tonumber(amount) >= price
end

local function verdict(campaign, price)
  if campaign.won then return 7 end
  if capped(campaign) then return 3 end
  local left = redis.call('HMGET', campaign.key, 'available', 'day_available')
  if not left[1] or not left[2] then return 6 end
  if not covers(left[1], price) then return 4 end
  if not covers(left[2], price) then return 5 end
  return 2
end

local function hold_one(campaign)
  if not identified or #campaign.caps == 0 then return end
  local longest = hold_ms * 2
  for _, cap in ipairs(campaign.caps) do longest = math.max(longest, cap.window * 1125) end
  redis.call('HINCRBY', user, campaign.id .. ':h:' .. hold, 1)
  if redis.call('PTTL', user) < longest then redis.call('PEXPIRE', user, longest) end
end

local function reserve(campaign, price)
  campaign.won = true
  redis.call('HINCRBY', campaign.key, 'available', -price)
  redis.call('HINCRBY', campaign.key, 'day_available', -price)
  redis.call('HINCRBY', campaign.key, 'reserved', price)
  redis.call('HINCRBY', reserved, campaign.id, price)
  redis.call('SADD', buckets, bucket)
  hold_one(campaign)
end

local reply = {}
for _ = 1, n_imps do
  local n = tonumber(ARGV[at])
  local winner, runner_up, reasons = 0, 0, {}
  for c = 1, n do
    local reason = 0
    if runner_up == 0 then
      local place, price = tonumber(ARGV[at + 3 * c - 2]), tonumber(ARGV[at + 3 * c - 1])
      reason = verdict(campaigns[place], price)
      if reason == 2 then
        if winner == 0 then winner, reason = c, 1 else runner_up = c end
      end
    end
    reasons[c] = reason
  end
  local price = 0
  if winner > 0 then
    price = tonumber(ARGV[at + 3 * winner - 1])
    if runner_up > 0 then
      -- Second price plus 0.01 CPM, never under the floor, never over the winner's own bid.
      local second = tonumber(ARGV[at + 3 * runner_up - 1])
      local floor = tonumber(ARGV[at + 3 * winner])
      price = math.min(price, math.max(floor, second + 10000))
    end
    reserve(campaigns[tonumber(ARGV[at + 3 * winner - 2])], price)
  end
  reply[#reply + 1], reply[#reply + 2], reply[#reply + 3] = winner, price, runner_up
  for c = 1, n do reply[#reply + 1] = reasons[c] end
  at = at + 1 + 3 * n
end
return reply
