-- Move entries of the stream behind a position that its readers hold for read: each is appended
-- again under a new id. One that is gone is left out, so repeating it changes nothing. From then on
-- nothing is appended at or before that position, whatever the server's clock says.
-- KEYS[1] stream
-- ARGV    1 the id that the new ones have to follow  2.. the entries' ids
-- Returns the number of entries that were moved.
local key, floor = KEYS[1], ARGV[1]
local function order(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end
local floor_ms, floor_seq = order(floor)
if redis.call('EXISTS', key) == 0 then
  -- Only what is there can be told where to go on.
  local id = string.match(floor, '^%d+') .. '-' .. string.format('%.0f', floor_seq + 1)
  redis.call('XADD', key, id, 'nothing', '')
  redis.call('XDEL', key, id)
end
local info, last = redis.call('XINFO', 'STREAM', key), nil
for i = 1, #info, 2 do
  if info[i] == 'last-generated-id' then last = info[i + 1] end
end
local last_ms, last_seq = order(last)
if last_ms < floor_ms or (last_ms == floor_ms and last_seq < floor_seq) then
  redis.call('XSETID', key, floor)
end
local moved = 0
for i = 2, #ARGV do
  local entry = redis.call('XRANGE', key, ARGV[i], ARGV[i])[1]
  if entry then
    redis.call('XADD', key, '*', unpack(entry[2]))
    redis.call('XDEL', key, entry[1])
    moved = moved + 1
  end
end
return moved
