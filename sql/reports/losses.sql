-- name: losses(since, until, campaign_id)
-- From the events themselves: a loss is one notice, and reasons are too many for a rollup's columns.
SELECT e.campaign_id, campaign.name, e.exchange, e.loss_reason, count(*),
       round(avg(e.min_to_win_micros))::bigint
FROM event AS e
LEFT JOIN campaign ON campaign.id = e.campaign_id
WHERE e.kind = 'loss' AND NOT e.test
  AND e.occurred_at >= :since AND e.occurred_at < :until
  -- A bid's events are filed under its date, and end with its tracking URLs.
  AND e.event_date BETWEEN :since::date - 2 AND :until::date + 1
  AND (:campaign_id::integer IS NULL OR e.campaign_id = :campaign_id)
GROUP BY 1, 2, 3, 4
ORDER BY count(*) DESC, 1, 3, 4;
