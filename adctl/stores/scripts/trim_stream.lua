-- Forget the entries up to one, and remember up to which. Repeating it changes nothing.
-- KEYS[1] stream  [2] the stream id up to which entries were trimmed
-- ARGV    1 the id of the last entry to forget  2 the id that follows it
--         3 the run id of the server they may be forgotten by; '' for any
-- Returns how many were forgotten. None by another server: it may have taken over with a clock that is
-- behind, and hold new entries under old ids. The mark never goes back: by it a PostgreSQL is known
-- that was restored to the past.
local function order(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end
if ARGV[3] ~= '' then
  local info = redis.pcall('INFO', 'server')
  local server = type(info) == 'string' and string.match(info, 'run_id:(%x+)') or ''
  if server ~= ARGV[3] then return 0 end
end
local ms, seq = order(ARGV[1])
local trimmed_ms, trimmed_seq = order(redis.call('GET', KEYS[2]) or '0-0')
if ms < trimmed_ms or (ms == trimmed_ms and seq <= trimmed_seq) then return 0 end
redis.call('SET', KEYS[2], ARGV[1])
return redis.call('XTRIM', KEYS[1], 'MINID', '=', ARGV[2])
