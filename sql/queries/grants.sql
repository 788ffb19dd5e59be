-- name: hold_grants(campaign_ids)
-- Until the transaction ends, nobody changes what prepaid campaigns may spend. A statement of its
-- own: one that had to wait would still see the grants of before.
SELECT id FROM advertiser
WHERE prepaid AND id IN (SELECT advertiser_id FROM campaign WHERE id = ANY(:campaign_ids))
ORDER BY id
FOR SHARE;

-- name: in_force(campaign_ids)
-- What campaigns may bid with: the budget, or what a prepaid advertiser's were granted of it, without
-- what is held back for wins that come late.
SELECT c.id, greatest(0, CASE WHEN a.prepaid
                              THEN least(c.total_budget_nanos, coalesce(g.granted_nanos, 0))
                              ELSE c.total_budget_nanos END - c.late_margin_nanos)
FROM campaign AS c
JOIN advertiser AS a ON a.id = c.advertiser_id
LEFT JOIN budget_grant AS g ON g.campaign_id = c.id
WHERE c.id = ANY(:campaign_ids);

-- name: purses(advertiser_ids)
-- The campaigns of prepaid advertisers (null: of all), what the ledger says of both, and what events
-- cost that were rejected. One
-- statement, so that what a campaign was charged is gone from the balance.
SELECT a.id, a.fee_ppm, a.funded,
       -coalesce((SELECT amount_nanos FROM ledger_balance
                  WHERE account = 'advertiser' AND owner_id = a.id), 0)
       - coalesce(sum(b.amount_nanos) OVER (PARTITION BY a.id), 0),
       c.id,
       c.status = 'active' AND a.status = 'active' AND (c.ends_at IS NULL OR c.ends_at > now()),
       c.bid_strategy, c.bid_amount_micros, c.total_budget_nanos, coalesce(g.granted_nanos, 0),
       coalesce(b.amount_nanos, 0),
       coalesce((SELECT sum(cost_nanos) FROM rejected_event AS r
                 WHERE r.campaign_id = c.id AND r.cost_nanos > 0), 0)
FROM advertiser AS a
JOIN campaign AS c ON c.advertiser_id = a.id
LEFT JOIN budget_grant AS g ON g.campaign_id = c.id
LEFT JOIN ledger_balance AS b ON b.account = 'campaign' AND b.owner_id = c.id
WHERE a.prepaid AND (:advertiser_ids::int[] IS NULL OR a.id = ANY(:advertiser_ids))
ORDER BY a.id, c.id;

-- name: lock_prepaid(advertiser_id)$
-- Waits for those who just write the advertiser's budgets to Redis.
SELECT id FROM advertiser WHERE id = :advertiser_id AND prepaid FOR UPDATE;

-- name: grant(campaign_ids, amounts)!
INSERT INTO budget_grant (campaign_id, granted_nanos)
SELECT * FROM unnest(:campaign_ids::int[], :amounts::bigint[])
ON CONFLICT (campaign_id) DO UPDATE SET granted_nanos = excluded.granted_nanos;

-- name: forget_grants(advertiser_id)!
DELETE FROM budget_grant
WHERE campaign_id IN (SELECT id FROM campaign WHERE advertiser_id = :advertiser_id);
