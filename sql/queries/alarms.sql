-- name: raise_alarm*!
-- Of a campaign that is gone meanwhile, or of one that was raised before, nothing is written.
INSERT INTO alarm (kind, campaign_id, percent, scope, raised_at, budget_nanos, spent_nanos,
                   expected_nanos)
SELECT :kind, id, :percent, :scope, :at, :budget_nanos, :spent_nanos, :expected_nanos
FROM campaign WHERE id = :campaign_id
ON CONFLICT DO NOTHING;

-- name: waiting_alarms(batch_size)
SELECT a.id, a.kind, coalesce(c.id, 0), coalesce(c.name, ''), coalesce(c.advertiser_id, 0), a.percent,
       a.scope, a.raised_at, a.budget_nanos, a.spent_nanos, a.expected_nanos, a.events,
       a.exchange
FROM alarm AS a LEFT JOIN campaign AS c ON c.id = a.campaign_id
WHERE NOT a.published
ORDER BY a.id
LIMIT :batch_size;

-- name: alarms_are_published(ids)!
UPDATE alarm SET published = true WHERE id = ANY(:ids);

-- name: alarms_since(since, until, campaign_id)
SELECT a.id, a.kind, coalesce(c.id, 0), coalesce(c.name, ''), coalesce(c.advertiser_id, 0), a.percent,
       a.scope, a.raised_at, a.budget_nanos, a.spent_nanos, a.expected_nanos, a.events,
       a.exchange
FROM alarm AS a LEFT JOIN campaign AS c ON c.id = a.campaign_id
WHERE a.raised_at >= :since AND a.raised_at < :until
  AND (:campaign_id::integer IS NULL OR a.campaign_id = :campaign_id)
ORDER BY a.raised_at, a.id;
