-- name: landscape(since, until, exchange)
-- What was bid at prices alike, over all countries and devices.
SELECT exchange, price_bucket, sum(bids)::bigint, sum(wins)::bigint, sum(losses)::bigint,
       div(sum(paid_micros), nullif(sum(wins), 0))::bigint AS paid_micros,
       div(sum(min_to_win_micros), nullif(sum(min_to_win_told), 0))::bigint AS min_to_win_micros
FROM rollup_landscape
WHERE hour >= :since AND hour < :until AND (:exchange::text IS NULL OR exchange = :exchange)
GROUP BY 1, 2
ORDER BY 1, 2;
