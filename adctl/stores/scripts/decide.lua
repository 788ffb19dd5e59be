-- Decide the auctions of one bid request and reserve what the winners may cost.
--
-- KEYS 1 the user's hash (any key of the slot when the user is not identified)
--      2 reservations hash of the bid's bucket   3 buckets set   4.. one budget hash per campaign,
--        then, where money is divided among shards, the wanting hash of this one
-- ARGV 1 one MessagePack array of integers, which takes a fraction of what as many arguments take:
--      now_ms, bucket, hold_sec, identified (0/1), campaigns, imps, road-blocks,
--      test (0/1): decide, and reserve nothing
--      more (0/1): others could follow the last candidate; see below
--      per campaign, in the order of its key: campaign id, how many impressions it takes together
--        (a road-block) or 0 (any one of them), number of caps, then limit and window_sec of each
--        (a campaign whose caps do not apply is sent without any)
--      per imp: number of candidates, how many impressions one display is, in millionths, then of
--        each candidate, dearest first: the campaign's place (1..), its bid and the least it may
--        pay, both in cpm micros
--      2 the id of the server that is asked, as its connection was told (none: it is not compared)
-- Returns, flat, per imp: the winning candidate's place (1..) or 0, the price in cpm micros, the
--      runner-up's place or 0, and one reason per candidate:
--      0 not looked at  1 won  2 could have won  3 frequency cap  4 total budget  5 day's budget
--      6 no money state (or of another server: what was made before a restart, or in a server that
--        this one took over from, may be older than what was acknowledged)  7 won another imp of this request  8 a road-block that cannot have all
--      With `more`, an imp of which winner and runner-up are not both among its candidates ends it:
--      the reply is empty and nothing has been reserved. Only for requests of one imp.
--
-- A CPM in micros is the cost of one impression in nanos. Prices, and what they come to, are below
-- 2^53 and may be compared here; budgets may not, so Redis adds them and only texts short enough
-- are read as numbers.
local user, reserved, buckets = KEYS[1], KEYS[2], KEYS[3]
local told, server = cmsgpack.unpack(ARGV[1]), ARGV[2]
local now_ms, bucket, hold_ms = told[1], told[2], told[3] * 1000
local identified, n_campaigns, n_imps = told[4] == 1, told[5], told[6]
local n_roadblocks, test, more = told[7], told[8] == 1, told[9] == 1
local hold = math.floor(now_ms / hold_ms)
local wanting = KEYS[4 + n_campaigns]

-- Where each campaign begins; most of them are never looked at.
local starts, at = {}, 10
for i = 1, n_campaigns do
  starts[i] = at
  at = at + 3 + 2 * told[at + 2]
end

local campaigns = setmetatable({}, { __index = function(known, i)
  local start, caps = starts[i], {}
  for c = 1, told[start + 2] do
    caps[c] = { limit = told[start + 1 + 2 * c], window = told[start + 2 + 2 * c] }
  end
  local campaign = { id = told[start], key = KEYS[3 + i], caps = caps, together = told[start + 1] }
  known[i] = campaign
  return campaign
end })

-- How many more impressions the user may be shown: those of the window's current and eight older
-- eighths are counted, plus bids still in flight.
local function room(campaign)
  if campaign.room == nil then
    campaign.room = math.huge
    for _, cap in ipairs(campaign.caps) do
      local n = math.floor(now_ms / (cap.window * 125))
      local held, counted = campaign.id .. ':h:', campaign.id .. ':' .. cap.window .. ':'
      local fields = { held .. hold, held .. hold - 1 }
      for back = 0, 8 do fields[3 + back] = counted .. n - back end
      local shown = 0
      for _, count in ipairs(redis.call('HMGET', user, unpack(fields))) do
        if count then shown = shown + tonumber(count) end
      end
      campaign.room = math.min(campaign.room, cap.limit - shown)
    end
  end
  return campaign.room
end

-- What a display costs at a price, in nanos, rounded up; the product itself may be beyond 2^53.
local function cost(price, quantity)
  if quantity == 1000000 then return price end
  local low = price % 1000000
  return (price - low) / 1000000 * quantity + math.ceil(low * quantity / 1000000)
end

local function covers(amount, nanos)
  if string.sub(amount, 1, 1) == '-' then return false end
  return #amount > 16 or tonumber(amount) >= nanos
end

-- Money that is not here may be in another shard: say that it is wanted, and how much.
local function lacks(campaign, nanos, reason)
  if wanting and not test then
    redis.call('HSETNX', wanting, campaign.id, string.format('%.0f', nanos))
  end
  return reason
end

-- Whether the campaign may be shown so many impressions that cost so much together: 2, or why not.
local function allowed(campaign, impressions, nanos)
  if room(campaign) < impressions then return 3 end
  local left = redis.call('HMGET', campaign.key, 'available', 'day_available', 'server')
  if not left[1] or not left[2] then return 6 end
  if server and left[3] ~= server then return 6 end
  if not covers(left[1], nanos) then return lacks(campaign, nanos, 4) end
  if not covers(left[2], nanos) then return lacks(campaign, nanos, 5) end
  return 2
end

local function verdict(campaign, nanos)
  if campaign.won then return 7 end
  if campaign.together > 0 then return campaign.refused or 8 end
  return allowed(campaign, 1, nanos)
end

local function hold_one(campaign)
  if not identified or #campaign.caps == 0 then return end
  local longest = hold_ms * 2
  for _, cap in ipairs(campaign.caps) do longest = math.max(longest, cap.window * 1125) end
  redis.call('HINCRBY', user, campaign.id .. ':h:' .. hold, 1)
  if redis.call('PTTL', user) < longest then redis.call('PEXPIRE', user, longest) end
end

local function reserve(campaign, nanos)
  campaign.won = true
  if test then return end
  redis.call('HINCRBY', campaign.key, 'available', -nanos)
  redis.call('HINCRBY', campaign.key, 'day_available', -nanos)
  redis.call('HINCRBY', campaign.key, 'reserved', nanos)
  -- A bucket is known from its first reservation on.
  if redis.call('HINCRBY', reserved, campaign.id, nanos) == nanos then
    redis.call('SADD', buckets, bucket)
  end
  hold_one(campaign)
end

-- Whether any single campaign that bids more may have the impression.
local function is_beaten(spot)
  for c = 1, spot.candidate - 1 do
    local place, bid = told[spot.at + 3 * c - 1], told[spot.at + 3 * c]
    local other = campaigns[place]
    if other.together == 0 and allowed(other, 1, cost(bid, spot.quantity)) == 2 then return true end
  end
  return false
end

-- Give road-blocks their impressions before all others, dearest first: each takes all that it needs
-- or none. Returns the candidate that takes it for each impression so taken.
local function take_roadblocks()
  local taken, waiting, first = {}, {}, at
  for imp = 1, n_imps do
    local n, quantity = told[first], told[first + 1]
    for c = 1, n do
      local campaign = campaigns[told[first + 3 * c - 1]]
      if campaign.together > 0 then
        local bid = told[first + 3 * c]
        if not campaign.spots then
          campaign.spots, campaign.nanos, campaign.bid, campaign.order = {}, 0, bid, #waiting
          waiting[#waiting + 1] = campaign
        end
        campaign.nanos = campaign.nanos + cost(bid, quantity)
        table.insert(campaign.spots, { imp = imp, at = first, candidate = c, quantity = quantity })
      end
    end
    first = first + 2 + 3 * n
  end
  table.sort(waiting, function(one, other)
    if one.bid ~= other.bid then return one.bid > other.bid end
    return one.order < other.order
  end)
  for _, campaign in ipairs(waiting) do
    local complete = #campaign.spots == campaign.together
    for _, spot in ipairs(campaign.spots) do
      complete = complete and not taken[spot.imp] and not is_beaten(spot)
    end
    local reason = complete and allowed(campaign, campaign.together, campaign.nanos) or 8
    if reason == 2 then
      for _, spot in ipairs(campaign.spots) do taken[spot.imp] = spot.candidate end
    else
      campaign.refused = reason
    end
  end
  return taken
end

local taken = n_roadblocks > 0 and take_roadblocks() or {}
local reply = {}
for imp = 1, n_imps do
  local n, quantity = told[at], told[at + 1]
  local winner, runner_up, reasons = 0, 0, {}
  for c = 1, n do
    local reason = 0
    if taken[imp] == c then
      winner, reason = c, 1
    elseif runner_up == 0 then
      local place, bid = told[at + 3 * c - 1], told[at + 3 * c]
      reason = verdict(campaigns[place], cost(bid, quantity))
      if reason == 2 then
        if winner == 0 then winner, reason = c, 1 else runner_up = c end
      end
    end
    reasons[c] = reason
  end
  if more and runner_up == 0 then return {} end
  local price = 0
  if winner > 0 then
    price = told[at + 3 * winner]
    if runner_up > 0 then
      -- Second price plus 0.01 CPM, never under the floor, never over the winner's own bid.
      local second = told[at + 3 * runner_up]
      local floor = told[at + 3 * winner + 1]
      price = math.min(price, math.max(floor, second + 10000))
    end
    reserve(campaigns[told[at + 3 * winner - 1]], cost(price, quantity))
  end
  reply[#reply + 1], reply[#reply + 2], reply[#reply + 3] = winner, price, runner_up
  for c = 1, n do reply[#reply + 1] = reasons[c] end
  at = at + 2 + 3 * n
end
return reply
