-- name: spent(campaign_ids)
SELECT campaign_id, sum(amount_nanos)::bigint AS spent_nanos
FROM ledger_entry
WHERE account = 'campaign' AND campaign_id = ANY(:campaign_ids)
GROUP BY campaign_id;
