-- name: next_batches(stream, most)
-- As many as hold no more than that many events; at least one, if there is one.
SELECT id, last_id
FROM (
    SELECT id, last_id, sum(events) OVER (ORDER BY id) AS up_to, row_number() OVER (ORDER BY id) AS place
    FROM (
        SELECT id, last_id, events FROM relay_batch WHERE stream = :stream ORDER BY id LIMIT :most
    ) AS oldest
) AS counted
WHERE place = 1 OR up_to <= :most
ORDER BY id;

-- name: events_of(ids)
-- In the order of the fields of adctl.models.Event, behind the stream id. Users are left out.
SELECT stream_id, event.event_id, event.event_date, kind,
       (extract(epoch FROM occurred_at) * 1000)::bigint AS occurred_at_ms,
       bid_id, campaign_id, creative_id, exchange, price_cpm_micros, cost_nanos, unpriced, late, odd,
       test, loss_reason, '' AS user_hash, min_to_win_micros, market_bid_ratio_ppm,
       (extract(epoch FROM shown_at) * 1000)::bigint AS shown_at_ms,
       advertiser_id, site, country, device, bid_cpm_micros, order_id, value_nanos,
       told_value_nanos, told_currency, attribution
FROM relay_batch, unnest(event_dates, event_ids) AS told (event_date, event_id)
-- One after the other, by the key of the day it is of: joined, all days could be read.
CROSS JOIN LATERAL (
    SELECT * FROM event AS e
    WHERE e.event_date = told.event_date AND e.event_id = told.event_id LIMIT 1
) AS event
WHERE relay_batch.id = ANY(:ids);

-- name: forget_batches(ids)!
DELETE FROM relay_batch WHERE id = ANY(:ids);

-- name: any_batch(stream)$
SELECT EXISTS (SELECT FROM relay_batch WHERE stream = :stream);

-- name: any_batch_before(moment)$
SELECT EXISTS (SELECT FROM relay_batch WHERE stored_at < :moment);

-- name: age_sec(stream)$
SELECT coalesce(extract(epoch FROM now() - stored_at), 0)::float8
FROM relay_batch WHERE stream = :stream ORDER BY id LIMIT 1;

-- name: hold_relays()
-- No relay tells Kafka of anything until the transaction ends.
SELECT stream FROM stream_position WHERE reader LIKE 'kafka:%%' ORDER BY stream FOR UPDATE;
