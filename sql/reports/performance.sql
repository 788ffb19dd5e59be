-- name: performance(by, timezone, since, until, campaign_id)
-- One row per value of :by; what it is not about stays null. Hours are those of the rollups.
SELECT
    CASE WHEN :by = 'campaign' THEN total.campaign_id END AS campaign_id,
    CASE WHEN :by = 'campaign' THEN campaign.name END AS campaign,
    CASE WHEN :by = 'creative' THEN total.creative_id END AS creative_id,
    CASE WHEN :by = 'creative' THEN creative.name END AS creative,
    CASE :by
        WHEN 'exchange' THEN total.exchange
        WHEN 'site' THEN total.site
        WHEN 'country' THEN total.country
        WHEN 'device' THEN total.device
    END AS place,
    CASE :by
        WHEN 'hour' THEN total.hour
        WHEN 'day' THEN date_trunc('day', total.hour, :timezone)
    END AS began_at,
    sum(bids)::bigint AS bids,
    sum(wins)::bigint AS wins,
    sum(impressions)::bigint AS impressions,
    sum(clicks)::bigint AS clicks,
    sum(conversions)::bigint AS conversions,
    sum(view_conversions)::bigint AS view_conversions,
    sum(spend_nanos)::bigint AS spend_nanos,
    sum(value_nanos)::bigint AS value_nanos
FROM rollup_delivery AS total
LEFT JOIN campaign ON campaign.id = total.campaign_id
LEFT JOIN creative ON creative.id = total.creative_id
WHERE hour >= :since AND hour < :until
  AND (:campaign_id::integer IS NULL OR total.campaign_id = :campaign_id)
GROUP BY 1, 2, 3, 4, 5, 6
ORDER BY began_at, campaign_id, creative_id, place;
