-- name: begin_stream(stream, reader)!
INSERT INTO stream_position (stream, reader, last_id) VALUES (:stream, :reader, '0-0')
ON CONFLICT DO NOTHING;

-- name: begin_relay(stream, reader)!
-- A relay to a new cluster goes on where the last one stopped. What came before is in PostgreSQL, and
-- trimmed; without a last one nothing has been trimmed yet.
INSERT INTO stream_position (stream, reader, last_id)
SELECT :stream, :reader, coalesce((
    SELECT last_id FROM stream_position
    WHERE stream = :stream AND reader LIKE 'kafka:%%'
    ORDER BY updated_at DESC LIMIT 1
), '0-0')
ON CONFLICT DO NOTHING;

-- name: forget_other_relays(stream, reader)!
DELETE FROM stream_position
WHERE stream = :stream AND reader LIKE 'kafka:%%' AND reader <> :reader;

-- name: lock_position(stream, reader)$
SELECT last_id FROM stream_position WHERE stream = :stream AND reader = :reader FOR UPDATE;

-- name: advance(last_id, stream, reader)!
UPDATE stream_position SET last_id = :last_id, updated_at = now()
WHERE stream = :stream AND reader = :reader;

-- name: read_positions(stream)
SELECT reader, last_id, updated_at FROM stream_position WHERE stream = :stream ORDER BY reader;
