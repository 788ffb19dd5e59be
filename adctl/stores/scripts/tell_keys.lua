-- Tells which keys a worker holds, with the time of this server's clock.
-- KEYS[1] hash   worker -> "<ms> <its KeyHolder as JSON>"
-- ARGV[1]        the worker; '' tells nothing and only asks for the time
-- ARGV[2]        its KeyHolder as JSON
-- Returns the time in ms, as text.
local time = redis.call('TIME')
local now_ms = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
if ARGV[1] ~= '' then
  redis.call('HSET', KEYS[1], ARGV[1], now_ms .. ' ' .. ARGV[2])
end
return now_ms
