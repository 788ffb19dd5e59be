-- name: booked_on(event_ids)
-- The day on which each of these events was booked, of those that were.
SELECT transaction, (booked_at AT TIME ZONE 'UTC')::date
FROM ledger_entry
WHERE transaction = ANY(:event_ids) AND account = 'campaign';

-- name: add_lines*!
INSERT INTO statement_line AS line
    (day, campaign_id, exchange, impressions, spend_nanos, late_impressions, late_spend_nanos,
     unpriced_impressions, unpriced_spend_nanos)
VALUES (:day, :campaign_id, :exchange, :impressions, :spend_nanos, :late_impressions,
        :late_spend_nanos, :unpriced_impressions, :unpriced_spend_nanos)
ON CONFLICT (day, campaign_id, exchange) DO UPDATE
SET impressions = line.impressions + excluded.impressions,
    spend_nanos = line.spend_nanos + excluded.spend_nanos,
    late_impressions = line.late_impressions + excluded.late_impressions,
    late_spend_nanos = line.late_spend_nanos + excluded.late_spend_nanos,
    unpriced_impressions = line.unpriced_impressions + excluded.unpriced_impressions,
    unpriced_spend_nanos = line.unpriced_spend_nanos + excluded.unpriced_spend_nanos;

-- name: clear_lines(since, until)!
DELETE FROM statement_line
WHERE day >= (:since::timestamptz AT TIME ZONE 'UTC')::date
  AND day < (:until::timestamptz AT TIME ZONE 'UTC')::date;

-- name: fill_lines(since, until)!
INSERT INTO statement_line
SELECT (booked_at AT TIME ZONE 'UTC')::date, campaign_id, exchange,
       count(*), sum(amount_nanos),
       count(*) FILTER (WHERE late),
       coalesce(sum(amount_nanos) FILTER (WHERE late), 0),
       count(*) FILTER (WHERE unpriced),
       coalesce(sum(amount_nanos) FILTER (WHERE unpriced), 0)
FROM ledger_entry
WHERE account = 'campaign' AND booked_at >= :since AND booked_at < :until
GROUP BY 1, 2, 3;

-- name: differing_days(since, until)
-- Days whose totals are not the ledger's. What is missing makes them less, so it shows.
SELECT coalesce(lines.day, booked.day)::timestamp AT TIME ZONE 'UTC'
FROM (SELECT day, sum(impressions) AS impressions, sum(spend_nanos) AS spend_nanos
      FROM statement_line
      WHERE day >= (:since::timestamptz AT TIME ZONE 'UTC')::date
        AND day < (:until::timestamptz AT TIME ZONE 'UTC')::date
      GROUP BY day) AS lines
FULL JOIN (SELECT (booked_at AT TIME ZONE 'UTC')::date AS day, count(*) AS impressions,
                  sum(amount_nanos) AS spend_nanos
           FROM ledger_entry
           WHERE account = 'campaign' AND booked_at >= :since AND booked_at < :until
           GROUP BY 1) AS booked USING (day)
WHERE (lines.impressions, lines.spend_nanos)
      IS DISTINCT FROM (booked.impressions, booked.spend_nanos);

-- name: first_moment()$
SELECT least((SELECT min(day) FROM statement_line)::timestamp AT TIME ZONE 'UTC',
             (SELECT booked_at FROM ledger_entry ORDER BY id LIMIT 1));

-- name: days_with_lines(since, until)
SELECT DISTINCT day::timestamp AT TIME ZONE 'UTC' FROM statement_line
WHERE day >= (:since::timestamptz AT TIME ZONE 'UTC')::date
  AND day < (:until::timestamptz AT TIME ZONE 'UTC')::date;

-- name: lines(since, until)
SELECT day, campaign_id, exchange, impressions, spend_nanos, late_impressions, late_spend_nanos,
       unpriced_impressions, unpriced_spend_nanos
FROM statement_line
WHERE day >= (:since AT TIME ZONE 'UTC')::date AND day < (:until AT TIME ZONE 'UTC')::date
ORDER BY day, campaign_id, exchange;

-- name: booked_lines(since, until, untold)
-- The same as the ledger says; with `untold` false, without what Kafka has not been told of yet.
SELECT (booked_at AT TIME ZONE 'UTC')::date AS day, campaign_id, exchange,
       count(*), sum(amount_nanos)::bigint,
       count(*) FILTER (WHERE late),
       coalesce(sum(amount_nanos) FILTER (WHERE late), 0)::bigint,
       count(*) FILTER (WHERE unpriced),
       coalesce(sum(amount_nanos) FILTER (WHERE unpriced), 0)::bigint
FROM ledger_entry
WHERE account = 'campaign' AND booked_at >= :since AND booked_at < :until
  AND (:untold OR transaction NOT IN (SELECT unnest(event_ids) FROM relay_batch))
GROUP BY day, campaign_id, exchange
ORDER BY day, campaign_id, exchange;
