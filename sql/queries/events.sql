-- name: create_incoming#
-- With defaults, for columns of a migration that is newer than this program.
CREATE TEMP TABLE IF NOT EXISTS incoming_event (LIKE event INCLUDING DEFAULTS) ON COMMIT DELETE ROWS;

-- name: make_partition(day)
SELECT event_partition(:day);

-- name: last_dropped()$
SELECT max(day) FROM dropped_day;

-- name: store_incoming(stream, last_id)^
-- Of events that are there already, in this batch or before, nothing is stored or booked again.
-- Fees are exact: what is owed beyond whole nanos is carried to the next batch, whatever campaign
-- of the advertiser spends then.
-- An order that was counted for another bid is not stored either.
-- What was stored waits in relay_batch for Kafka, but where there is no stream: Kafka has it then. And
-- stored_part notes of which hours and days it is.
WITH ordered AS (
    INSERT INTO conversion_order
    SELECT advertiser_id, order_id, event_date, event_id
    FROM incoming_event WHERE order_id <> '' AND advertiser_id > 0
    ON CONFLICT DO NOTHING
    RETURNING event_date, event_id
), stored AS (
    INSERT INTO event
    SELECT * FROM incoming_event
    WHERE order_id = '' OR advertiser_id = 0 OR (event_date, event_id) IN (SELECT event_date, event_id FROM ordered)
    ON CONFLICT DO NOTHING
    RETURNING event_date, event_id, campaign_id, exchange, cost_nanos, occurred_at, late, unpriced
), untold AS (
    INSERT INTO relay_batch (stream, last_id, events, event_dates, event_ids)
    SELECT :stream::text, :last_id::text, count(*), array_agg(event_date), array_agg(event_id)
    FROM stored
    WHERE :stream::text IS NOT NULL
    HAVING count(*) > 0
), parts AS (
    -- Of the day it is the booking's that counts, which is now.
    INSERT INTO stored_part (stream, unit, part, last_id)
    SELECT DISTINCT :stream::text, unit, part, :last_id::text
    FROM stored CROSS JOIN LATERAL (VALUES
        ('hour', date_trunc('hour', occurred_at, 'UTC'), true),
        ('day', date_trunc('day', now(), 'UTC'), cost_nanos > 0)
    ) AS of (unit, part, counts)
    WHERE :stream::text IS NOT NULL AND counts
    ON CONFLICT (stream, unit, part) DO UPDATE SET last_id = excluded.last_id
), booked AS (
    INSERT INTO ledger_entry (transaction, account, campaign_id, amount_nanos, occurred_at,
                              exchange, late, unpriced)
    SELECT event_id, account, campaign_id, sign * cost_nanos, occurred_at,
           exchange, late, unpriced
    FROM stored CROSS JOIN (VALUES ('campaign', 1), ('exchange', -1)) AS side (account, sign)
    WHERE cost_nanos > 0
), spend AS (
    SELECT advertiser.id AS advertiser_id, campaign_id, min(event_id) AS first_event,
           max(occurred_at) AS occurred_at, sum(cost_nanos::numeric) * fee_ppm AS nano_ppm
    FROM stored
    JOIN campaign ON campaign.id = campaign_id
    JOIN advertiser ON advertiser.id = campaign.advertiser_id
    WHERE cost_nanos > 0 AND fee_ppm > 0
    GROUP BY advertiser.id, campaign_id, fee_ppm
), owed AS (
    SELECT spend.*, coalesce(fee_remainder.nano_ppm, 0)
           + sum(spend.nano_ppm) OVER (PARTITION BY advertiser_id ORDER BY campaign_id) AS up_to
    FROM spend
    LEFT JOIN fee_remainder USING (advertiser_id)
), charged AS (
    INSERT INTO ledger_entry (transaction, account, kind, advertiser_id, campaign_id,
                              amount_nanos, occurred_at)
    SELECT 'fee:' || first_event, account, 'fee', advertiser_id, campaign_id,
           sign * (div(up_to, 1000000) - div(up_to - nano_ppm, 1000000)), occurred_at
    FROM owed CROSS JOIN (VALUES ('advertiser', 1), ('fee', -1)) AS side (account, sign)
    WHERE div(up_to, 1000000) > div(up_to - nano_ppm, 1000000)
), carried AS (
    INSERT INTO fee_remainder
    SELECT advertiser_id, mod(max(up_to), 1000000) FROM owed GROUP BY 1
    ON CONFLICT (advertiser_id) DO UPDATE SET nano_ppm = excluded.nano_ppm
)
SELECT count(*) AS stored, coalesce(sum(cost_nanos), 0) AS booked_nanos FROM stored;

-- name: note_recounted()!
-- Of the events that are there already, through another entry of the stream: those that cost
-- something were counted in Redis once more, which had forgotten them.
INSERT INTO recounted_campaign
SELECT DISTINCT again.campaign_id
FROM incoming_event AS again
-- One after the other, by the key of the day it is of: joined, all days would be read.
CROSS JOIN LATERAL (
    SELECT stream_id FROM event
    WHERE event_date = again.event_date AND event_id = again.event_id LIMIT 1
) AS stored
WHERE again.cost_nanos > 0 AND stored.stream_id <> again.stream_id
ON CONFLICT DO NOTHING;

-- name: groups_incomplete()!
UPDATE group_progress SET complete = false WHERE complete;

-- name: stored(dates, ids)
SELECT known.event_id
FROM unnest(:dates::date[], :ids::text[]) AS asked (event_date, event_id)
CROSS JOIN LATERAL (
    SELECT event_id FROM event
    WHERE event_date = asked.event_date AND event_id = asked.event_id LIMIT 1
) AS known;
