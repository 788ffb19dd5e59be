-- Move a stream whose ids have fallen behind what its readers have seen beyond that point: every
-- entry is appended again, in order, under a new id. Repeating it changes nothing.
-- KEYS[1] stream
-- ARGV    1 the id that every entry has to follow
-- Returns the number of entries that were moved.
local key, floor = KEYS[1], ARGV[1]
local function order(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end
if redis.call('EXISTS', key) == 0 then return 0 end
local info = redis.call('XINFO', 'STREAM', key)
local last
for i = 1, #info, 2 do
  if info[i] == 'last-generated-id' then last = info[i + 1] end
end
local last_ms, last_seq = order(last)
local floor_ms, floor_seq = order(floor)
if last_ms > floor_ms or (last_ms == floor_ms and last_seq >= floor_seq) then return 0 end
local entries = redis.call('XRANGE', key, '-', '+')
redis.call('XSETID', key, floor)
for _, entry in ipairs(entries) do
  redis.call('XADD', key, '*', unpack(entry[2]))
  redis.call('XDEL', key, entry[1])
end
return #entries
