-- name: balance_since(advertiser_id, since)$
-- What has been added to an advertiser's balance from a moment on.
SELECT coalesce(sum(effect_nanos), 0)
FROM advertiser_entry
WHERE advertiser_id = :advertiser_id AND booked_at >= :since;

-- name: charges(advertiser_id, since, until)
-- What each campaign was charged: its spend, the fees on it, and which of it needs explaining.
SELECT campaign_id, campaign,
       count(*) FILTER (WHERE kind = 'spend'),
       coalesce(sum(-effect_nanos) FILTER (WHERE kind = 'spend'), 0),
       coalesce(sum(-effect_nanos) FILTER (WHERE kind = 'fee'), 0),
       count(*) FILTER (WHERE late),
       coalesce(sum(-effect_nanos) FILTER (WHERE late), 0),
       count(*) FILTER (WHERE unpriced)
FROM advertiser_entry
WHERE advertiser_id = :advertiser_id AND kind IN ('spend', 'fee')
  AND booked_at >= :since AND booked_at < :until
GROUP BY campaign_id, campaign
ORDER BY campaign_id;

-- name: daily_charges(advertiser_id, since, until)
SELECT (booked_at AT TIME ZONE 'UTC')::date AS day, kind, campaign_id, campaign,
       count(*), sum(effect_nanos), count(*) FILTER (WHERE late), count(*) FILTER (WHERE unpriced)
FROM advertiser_entry
WHERE advertiser_id = :advertiser_id AND kind IN ('spend', 'fee')
  AND booked_at >= :since AND booked_at < :until
GROUP BY day, kind, campaign_id, campaign
ORDER BY day, campaign_id, kind DESC;

-- name: lines(since, until, advertiser_id)
-- The detail of invoices, as the consumer group billing builds it; null: of every advertiser.
SELECT l.day, a.name, l.campaign_id, c.name, l.exchange, l.impressions, l.spend_nanos,
       l.late_impressions, l.late_spend_nanos, l.unpriced_impressions, l.unpriced_spend_nanos
FROM statement_line AS l
LEFT JOIN campaign AS c ON c.id = l.campaign_id
LEFT JOIN advertiser AS a ON a.id = c.advertiser_id
WHERE l.day >= (:since AT TIME ZONE 'UTC')::date AND l.day < (:until AT TIME ZONE 'UTC')::date
  AND (:advertiser_id::int IS NULL OR c.advertiser_id = :advertiser_id)
ORDER BY l.day, l.campaign_id, l.exchange;
