-- name: add_delivery(hour, campaign_id, creative_id, exchange, site, country, device, bids, wins, losses, impressions, clicks, conversions, view_conversions, spend_nanos, value_nanos)!
INSERT INTO rollup_delivery AS rollup
    (hour, campaign_id, creative_id, exchange, site, country, device, bids, wins, losses,
     impressions, clicks, conversions, view_conversions, spend_nanos, value_nanos)
SELECT * FROM unnest(
    :hour::timestamptz[], :campaign_id::integer[], :creative_id::integer[], :exchange::text[],
    :site::text[], :country::text[], :device::text[], :bids::bigint[], :wins::bigint[],
    :losses::bigint[], :impressions::bigint[], :clicks::bigint[], :conversions::bigint[],
    :view_conversions::bigint[], :spend_nanos::bigint[], :value_nanos::bigint[])
ON CONFLICT (hour, campaign_id, creative_id, exchange, site, country, device) DO UPDATE
SET bids = rollup.bids + excluded.bids,
    wins = rollup.wins + excluded.wins,
    losses = rollup.losses + excluded.losses,
    impressions = rollup.impressions + excluded.impressions,
    clicks = rollup.clicks + excluded.clicks,
    conversions = rollup.conversions + excluded.conversions,
    view_conversions = rollup.view_conversions + excluded.view_conversions,
    spend_nanos = rollup.spend_nanos + excluded.spend_nanos,
    value_nanos = rollup.value_nanos + excluded.value_nanos;

-- name: add_landscape(hour, exchange, country, device, price_bucket, bids, wins, losses, paid_micros, min_to_win_micros, min_to_win_told)!
INSERT INTO rollup_landscape AS rollup
    (hour, exchange, country, device, price_bucket, bids, wins, losses, paid_micros,
     min_to_win_micros, min_to_win_told)
SELECT * FROM unnest(
    :hour::timestamptz[], :exchange::text[], :country::text[], :device::text[],
    :price_bucket::integer[], :bids::bigint[], :wins::bigint[], :losses::bigint[],
    :paid_micros::bigint[], :min_to_win_micros::bigint[], :min_to_win_told::bigint[])
ON CONFLICT (hour, exchange, country, device, price_bucket) DO UPDATE
SET bids = rollup.bids + excluded.bids,
    wins = rollup.wins + excluded.wins,
    losses = rollup.losses + excluded.losses,
    paid_micros = rollup.paid_micros + excluded.paid_micros,
    min_to_win_micros = rollup.min_to_win_micros + excluded.min_to_win_micros,
    min_to_win_told = rollup.min_to_win_told + excluded.min_to_win_told;

-- name: add_requests(hour, exchange, reason, requests)!
INSERT INTO rollup_requests AS rollup (hour, exchange, reason, requests)
SELECT * FROM unnest(
    :hour::timestamptz[], :exchange::text[], :reason::text[], :requests::bigint[])
ON CONFLICT (hour, exchange, reason) DO UPDATE
SET requests = rollup.requests + excluded.requests;

-- name: add_candidates(hour, campaign_id, exchange, outcome, sampled, candidates, capped, cut_micros)!
INSERT INTO rollup_candidates AS rollup
    (hour, campaign_id, exchange, outcome, sampled, candidates, capped, cut_micros)
SELECT * FROM unnest(
    :hour::timestamptz[], :campaign_id::integer[], :exchange::text[], :outcome::text[],
    :sampled::boolean[], :candidates::bigint[], :capped::bigint[], :cut_micros::bigint[])
ON CONFLICT (hour, campaign_id, exchange, sampled, outcome) DO UPDATE
SET candidates = rollup.candidates + excluded.candidates,
    capped = rollup.capped + excluded.capped,
    cut_micros = rollup.cut_micros + excluded.cut_micros;

-- name: clear_delivery(since, until)!
UPDATE rollup_delivery
SET wins = 0, losses = 0, impressions = 0, clicks = 0, conversions = 0, view_conversions = 0,
    spend_nanos = 0, value_nanos = 0
WHERE hour >= :since AND hour < :until;

-- name: fill_delivery(since, until)!
INSERT INTO rollup_delivery
    (hour, campaign_id, creative_id, exchange, site, country, device,
     wins, losses, impressions, clicks, conversions, view_conversions, spend_nanos, value_nanos)
SELECT * FROM delivery_of_events(:since, :until)
ON CONFLICT (hour, campaign_id, creative_id, exchange, site, country, device) DO UPDATE
SET wins = excluded.wins,
    losses = excluded.losses,
    impressions = excluded.impressions,
    clicks = excluded.clicks,
    conversions = excluded.conversions,
    view_conversions = excluded.view_conversions,
    spend_nanos = excluded.spend_nanos,
    value_nanos = excluded.value_nanos;

-- name: drop_empty_delivery(since, until)!
DELETE FROM rollup_delivery
WHERE hour >= :since AND hour < :until
  AND bids + wins + losses + impressions + clicks + conversions + view_conversions = 0
  AND spend_nanos = 0 AND value_nanos = 0;

-- name: clear_landscape(since, until)!
UPDATE rollup_landscape
SET wins = 0, losses = 0, paid_micros = 0, min_to_win_micros = 0, min_to_win_told = 0
WHERE hour >= :since AND hour < :until;

-- name: fill_landscape(since, until)!
INSERT INTO rollup_landscape
    (hour, exchange, country, device, price_bucket, wins, losses, paid_micros,
     min_to_win_micros, min_to_win_told)
SELECT date_trunc('hour', occurred_at, 'UTC'), exchange, country, device,
       price_bucket(bid_cpm_micros),
       count(*) FILTER (WHERE kind = 'win'),
       count(*) FILTER (WHERE kind = 'loss'),
       coalesce(sum(price_cpm_micros) FILTER (WHERE kind = 'win'), 0),
       coalesce(sum(min_to_win_micros), 0),
       count(min_to_win_micros)
FROM event
WHERE kind IN ('win', 'loss') AND NOT test
  AND occurred_at >= :since AND occurred_at < :until
GROUP BY 1, 2, 3, 4, 5
ON CONFLICT (hour, exchange, country, device, price_bucket) DO UPDATE
SET wins = excluded.wins,
    losses = excluded.losses,
    paid_micros = excluded.paid_micros,
    min_to_win_micros = excluded.min_to_win_micros,
    min_to_win_told = excluded.min_to_win_told;

-- name: drop_empty_landscape(since, until)!
DELETE FROM rollup_landscape WHERE hour >= :since AND hour < :until AND bids + wins + losses = 0;

-- name: differing_hours(since, until)
-- Hours whose totals are not those of their events. What is missing makes them less, so it shows.
WITH counted AS (
    SELECT hour, sum(wins) AS wins, sum(losses) AS losses, sum(impressions) AS impressions,
           sum(clicks) AS clicks, sum(conversions + view_conversions) AS conversions,
           sum(spend_nanos) AS spend_nanos, sum(value_nanos) AS value_nanos
    FROM rollup_delivery
    WHERE hour >= :since AND hour < :until
    GROUP BY hour
    HAVING sum(wins + losses + impressions + clicks + conversions + view_conversions) > 0
        OR sum(spend_nanos) > 0 OR sum(value_nanos) > 0
), made AS (
    SELECT date_trunc('hour', occurred_at, 'UTC') AS hour,
           count(*) FILTER (WHERE kind = 'win') AS wins,
           count(*) FILTER (WHERE kind = 'loss') AS losses,
           count(*) FILTER (WHERE kind = 'impression') AS impressions,
           count(*) FILTER (WHERE kind = 'click') AS clicks,
           count(*) FILTER (WHERE kind = 'conversion') AS conversions,
           sum(cost_nanos) AS spend_nanos, coalesce(sum(value_nanos), 0) AS value_nanos
    FROM event
    WHERE NOT test AND occurred_at >= :since AND occurred_at < :until
      AND (kind <> 'bill' OR cost_nanos > 0)
    GROUP BY 1
)
SELECT DISTINCT hour
FROM ((TABLE counted EXCEPT TABLE made) UNION ALL (TABLE made EXCEPT TABLE counted)) AS different
UNION
SELECT hour
FROM (SELECT hour, sum(wins) AS wins, sum(losses) AS losses FROM rollup_landscape
      WHERE hour >= :since AND hour < :until
      GROUP BY hour HAVING sum(wins + losses) > 0) AS landscape
FULL JOIN (SELECT hour, wins, losses FROM made WHERE wins + losses > 0) AS events USING (hour)
WHERE (landscape.wins, landscape.losses) IS DISTINCT FROM (events.wins, events.losses);

-- name: first_moment()$
-- Events are not of before the day of their bid.
SELECT least((SELECT min(hour) FROM rollup_delivery), (SELECT min(hour) FROM rollup_landscape),
             (SELECT min(event_date) FROM event)::timestamp AT TIME ZONE 'UTC');

-- name: hours_with_rows(since, until)
SELECT DISTINCT hour FROM rollup_delivery WHERE hour >= :since AND hour < :until;

-- name: list_hours(since, until)
SELECT series.hour
FROM generate_series(
    -- Hours that had events of days that were dropped cannot be looked at.
    greatest(date_trunc('hour', :since::timestamptz, 'UTC'),
             (SELECT min(event_date) FROM event)::timestamp AT TIME ZONE 'UTC',
             (SELECT date_trunc('hour', max(rebuild_from) + interval '1 hour - 1 microsecond', 'UTC')
              FROM dropped_day)),
    date_trunc('hour', :until::timestamptz, 'UTC'), interval '1 hour') AS series(hour)
WHERE EXISTS (SELECT FROM rollup_delivery AS rollup WHERE rollup.hour = series.hour)
   OR EXISTS (SELECT FROM event
              WHERE occurred_at >= series.hour AND occurred_at < series.hour + interval '1 hour')
ORDER BY 1;

-- name: count_differences(hour, untold)$
-- Rows that one side has and the other has not, or not with these counts.
WITH counted AS (
    SELECT hour, campaign_id, creative_id, exchange, site, country, device,
           wins, losses, impressions, clicks, conversions, view_conversions, spend_nanos,
           value_nanos
    FROM rollup_delivery
    WHERE hour = :hour
      AND (wins + losses + impressions + clicks + conversions + view_conversions > 0
           OR spend_nanos > 0 OR value_nanos > 0)
), made AS (
    SELECT * FROM delivery_of_events(:hour, :hour::timestamptz + interval '1 hour', :untold)
)
SELECT count(DISTINCT (hour, campaign_id, creative_id, exchange, site, country, device))
FROM ((TABLE counted EXCEPT TABLE made) UNION ALL (TABLE made EXCEPT TABLE counted)) AS different;

-- name: forget_bids(since)!
UPDATE rollup_delivery SET bids = 0 WHERE hour >= :since;

-- name: forget_landscape_bids(since)!
UPDATE rollup_landscape SET bids = 0 WHERE hour >= :since;

-- name: forget_requests(since)!
DELETE FROM rollup_requests WHERE hour >= :since;

-- name: forget_candidates(since)!
DELETE FROM rollup_candidates WHERE hour >= :since;
