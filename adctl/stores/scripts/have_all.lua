-- Count the campaigns whose money was made in this server. Changes nothing.
-- KEYS[1..] budget hashes
-- Returns how many there are.
local info = redis.pcall('INFO', 'server')
local server = type(info) == 'string' and string.match(info, 'run_id:(%x+)') or ''
local found = 0
for _, key in ipairs(KEYS) do
  if redis.call('HGET', key, 'server') == server then found = found + 1 end
end
return found
