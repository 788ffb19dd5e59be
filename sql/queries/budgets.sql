-- name: campaign_spend(campaign_id)
-- Each campaign that is not archived, or the one that is asked for, with what the ledger says.
SELECT campaign.id, campaign.name, campaign.status, campaign.late_margin_nanos,
       coalesce((
           SELECT sum(amount_nanos) FROM ledger_entry
           WHERE account = 'campaign' AND ledger_entry.campaign_id = campaign.id
       ), 0)::bigint AS spent_nanos
FROM campaign
WHERE campaign.id = :campaign_id OR (:campaign_id::integer IS NULL AND status <> 'archived')
ORDER BY campaign.id;
