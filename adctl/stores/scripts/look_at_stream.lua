-- What a tracker asks of a shard to know whether what it took is still there, all at one moment.
--
-- KEYS 1 generation   2 flushed   3 stream
-- Returns the generation that was confirmed ('' for none), the run id of this server ('' if it does
-- not say), the stream id up to which PostgreSQL has the events, and the newest id that the stream
-- has given out.
local last = '0-0'
if redis.call('EXISTS', KEYS[3]) == 1 then
  local stream = redis.call('XINFO', 'STREAM', KEYS[3])
  for i = 1, #stream, 2 do
    if stream[i] == 'last-generated-id' then last = stream[i + 1] end
  end
end
local info = redis.pcall('INFO', 'server')
local run_id = type(info) == 'string' and string.match(info, 'run_id:(%x+)') or ''
return {redis.call('GET', KEYS[1]) or '', run_id, redis.call('GET', KEYS[2]) or '0-0', last}
