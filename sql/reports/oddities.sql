-- name: oddities(since, until, campaign_id)
-- Events that were taken though they should not have come, or not now, or not so.
SELECT e.campaign_id, campaign.name, e.exchange, e.odd, count(*), sum(e.cost_nanos)::bigint
FROM event AS e
LEFT JOIN campaign ON campaign.id = e.campaign_id
WHERE e.odd <> '' AND NOT e.test
  AND e.occurred_at >= :since AND e.occurred_at < :until
  -- A bid's events are filed under its date, and end with its tracking URLs.
  AND e.event_date BETWEEN :since::date - 2 AND :until::date + 1
  AND (:campaign_id::integer IS NULL OR e.campaign_id = :campaign_id)
GROUP BY 1, 2, 3, 4
ORDER BY count(*) DESC, 1, 3, 4;
