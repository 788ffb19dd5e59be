-- Take a conversion that an advertiser tells of a user: count it for the user's last click on one of
-- the advertiser's ads, else for the last ad seen, and append it to the stream.
--
-- KEYS 1 the user's touches   2 stream
-- ARGV 1 advertiser id  2 order digest  3 now_ms  4 click window, ms  5 view window, ms (0: views do
--      not count)  6 the event's JSON without its bid's part, and without braces
--      7 what the keys of campaigns' counters begin with  8 the most entries the stream may have
--      9 how long the order is kept where the user has no touches, seconds
--      10 '' or, of one that was taken before: the whole event's JSON, 11 its campaign, 12 its bid,
--      13 click or view. What it counts for is not asked again: the touches may have been lost.
-- Returns unattributed, full (nothing has happened), taken and the event's JSON, or duplicate (the
-- order has counted) and its JSON if it is known.
local touches, advertiser_id, digest = KEYS[1], ARGV[1], ARGV[2]
local now_ms = tonumber(ARGV[3])

-- A touch is 'at_ms bid_id campaign_id JSON', see event_intake.py.
local function touch(kind, window_ms)
  local told = redis.call('HGET', touches, advertiser_id .. ':' .. kind)
  if not told then return nil end
  local at_ms, bid_id, campaign_id, json = string.match(told, '^(%d+) (%x+) (%d+) (.*)$')
  local ago_ms = now_ms - tonumber(at_ms)
  if ago_ms > tonumber(window_ms) then return nil end
  return {kind = kind, bid_id = bid_id, campaign_id = campaign_id, json = json}
end

local found
if ARGV[10] ~= '' then
  found = {kind = ARGV[13], bid_id = ARGV[12], campaign_id = ARGV[11]}
else
  found = touch('click', ARGV[4]) or (ARGV[5] ~= '0' and touch('view', ARGV[5]))
end
if not found then return 'unattributed' end
if redis.call('XLEN', KEYS[2]) >= tonumber(ARGV[8]) then return 'full' end
local event = ARGV[10]
if event == '' then
  event = '{"event_id":"' .. found.bid_id .. ':conversion:' .. digest .. '",' .. found.json
    .. ',' .. ARGV[6] .. ',"attribution":"' .. found.kind .. '"}'
end
-- Kept as long as the touch: a repeat that comes later finds nothing to be counted for.
local order = advertiser_id .. ':order:' .. digest
if redis.call('HSETNX', touches, order, found.bid_id) == 0 then
  if redis.call('HGET', touches, order) == found.bid_id then return {'duplicate', event} end
  return 'duplicate'
end
if redis.call('TTL', touches) < 0 then redis.call('EXPIRE', touches, ARGV[9]) end
redis.call('HINCRBY', ARGV[7] .. found.campaign_id,
  found.kind == 'click' and 'conversion' or 'view_conversion', 1)
redis.call('XADD', KEYS[2], '*', 'e', event, 'late', '0', 'odd', 'taken')
return {'taken', event}
