-- Move the mark one on, and say what server this is and what was confirmed of it.
-- KEYS[1] mark  [2] generation
-- Returns the server's run id ('' if it does not tell), the mark, and the generation ('' if none).
local info = redis.pcall('INFO', 'server')
local server = type(info) == 'string' and string.match(info, 'run_id:(%x+)') or ''
return { server, redis.call('INCR', KEYS[1]), redis.call('GET', KEYS[2]) or '' }
