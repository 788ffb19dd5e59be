-- name: campaigns()
-- Each campaign that is not archived, with its budgets, what the ledger says it spent, and what its
-- rejected events cost.
SELECT c.id, c.name,
       greatest(0, CASE WHEN a.prepaid
                        THEN least(c.total_budget_nanos, coalesce(g.granted_nanos, 0))
                        ELSE c.total_budget_nanos END - c.late_margin_nanos),
       c.daily_budget_nanos, c.late_margin_nanos,
       c.status = 'active' AND a.status = 'active' AND (a.funded OR NOT a.prepaid)
           AND (c.ends_at IS NULL OR c.ends_at > now()) AS serving,
       coalesce(l.amount_nanos, 0)::bigint AS spent_nanos,
       coalesce((SELECT sum(cost_nanos) FROM rejected_event AS r
                 WHERE r.campaign_id = c.id AND r.cost_nanos > 0), 0)::bigint AS rejected_nanos
FROM campaign AS c
JOIN advertiser AS a ON a.id = c.advertiser_id
LEFT JOIN budget_grant AS g ON g.campaign_id = c.id
LEFT JOIN ledger_balance AS l ON l.account = 'campaign' AND l.owner_id = c.id
WHERE c.status <> 'archived'
ORDER BY c.id;

-- name: unbalanced()$
SELECT coalesce(sum(amount_nanos), 0) FROM ledger_balance;

-- name: rejected_elsewhere()^
-- What rejected events cost that are of no campaign above, and how many there are whose cost cannot be
-- known.
SELECT coalesce(sum(r.cost_nanos), 0), count(*) FILTER (WHERE r.cost_nanos IS NULL)
FROM rejected_event AS r
LEFT JOIN campaign AS c ON c.id = r.campaign_id AND c.status <> 'archived'
WHERE c.id IS NULL OR r.cost_nanos IS NULL;

-- name: record_repair(actor, campaign_id, before, after)!
INSERT INTO audit (actor, entity, entity_id, action, before, after)
VALUES (:actor, 'campaign', :campaign_id, 'reconcile', :before::jsonb, :after::jsonb);
