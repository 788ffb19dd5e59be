-- name: campaign_spend(campaign_id)
-- Each campaign that is not archived, or the one that is asked for, with what the ledger says.
SELECT campaign.id, campaign.name, campaign.status, campaign.late_margin_nanos,
       coalesce(ledger_balance.amount_nanos, 0)::bigint AS spent_nanos
FROM campaign
LEFT JOIN ledger_balance ON account = 'campaign' AND owner_id = campaign.id
WHERE campaign.id = :campaign_id OR (:campaign_id::integer IS NULL AND status <> 'archived')
ORDER BY campaign.id;
