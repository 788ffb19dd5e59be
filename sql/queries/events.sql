-- name: create_incoming#
CREATE TEMP TABLE IF NOT EXISTS incoming_event (LIKE event) ON COMMIT DELETE ROWS;

-- name: make_partition(day)
SELECT event_partition(:day);

-- name: store_incoming()^
-- Of events that are there already, in this batch or before, nothing is stored or booked again.
WITH stored AS (
    INSERT INTO event SELECT * FROM incoming_event
    ON CONFLICT DO NOTHING
    RETURNING event_id, campaign_id, cost_nanos, occurred_at
), booked AS (
    INSERT INTO ledger_entry (transaction, account, campaign_id, amount_nanos, occurred_at)
    SELECT event_id, account, campaign_id, sign * cost_nanos, occurred_at
    FROM stored CROSS JOIN (VALUES ('campaign', 1), ('exchange', -1)) AS side (account, sign)
    WHERE cost_nanos > 0
)
SELECT count(*) AS stored, coalesce(sum(cost_nanos), 0)::bigint AS booked_nanos FROM stored;

-- name: reject(stream, stream_id, reason, raw)!
INSERT INTO rejected_event (stream, stream_id, reason, raw)
VALUES (:stream, :stream_id, :reason, :raw)
ON CONFLICT DO NOTHING;

-- name: stored_stream_ids(dates, ids)
SELECT event.stream_id
FROM event
JOIN unnest(:dates::date[], :ids::text[]) AS asked (event_date, event_id)
  USING (event_date, event_id);
