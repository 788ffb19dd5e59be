-- Say that this server is right, from a mark on. Repeating it changes nothing.
-- KEYS[1] mark  [2] generation
-- ARGV    1 the run id that was found right  2 the mark  3 what the generation is to say
-- Returns 1, or 0 (and does nothing) if this is another server by now.
local info = redis.pcall('INFO', 'server')
local server = type(info) == 'string' and string.match(info, 'run_id:(%x+)') or ''
if server ~= ARGV[1] then return 0 end
if tonumber(redis.call('GET', KEYS[1]) or '0') < tonumber(ARGV[2]) then
  redis.call('SET', KEYS[1], ARGV[2])
end
redis.call('SET', KEYS[2], ARGV[3])
return 1
