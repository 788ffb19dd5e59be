-- name: candidates(since, until, campaign_id)
SELECT c.campaign_id, campaign.name, c.sampled, c.outcome, sum(c.candidates)::bigint,
       sum(c.capped)::bigint, sum(c.cut_micros)::bigint
FROM rollup_candidates AS c
LEFT JOIN campaign ON campaign.id = c.campaign_id
WHERE c.hour >= :since AND c.hour < :until
  AND (:campaign_id::integer IS NULL OR c.campaign_id = :campaign_id)
GROUP BY 1, 2, 3, 4
ORDER BY c.campaign_id, c.sampled, sum(c.candidates) DESC, c.outcome;
