-- name: add_delivery*!
INSERT INTO rollup_delivery AS rollup
    (hour, campaign_id, creative_id, exchange,
     bids, wins, losses, impressions, clicks, conversions, spend_nanos)
VALUES (:hour, :campaign_id, :creative_id, :exchange,
        :bids, :wins, :losses, :impressions, :clicks, :conversions, :spend_nanos)
ON CONFLICT (hour, campaign_id, creative_id, exchange) DO UPDATE
SET bids = rollup.bids + excluded.bids,
    wins = rollup.wins + excluded.wins,
    losses = rollup.losses + excluded.losses,
    impressions = rollup.impressions + excluded.impressions,
    clicks = rollup.clicks + excluded.clicks,
    conversions = rollup.conversions + excluded.conversions,
    spend_nanos = rollup.spend_nanos + excluded.spend_nanos;

-- name: add_requests*!
INSERT INTO rollup_requests AS rollup (hour, exchange, reason, requests)
VALUES (:hour, :exchange, :reason, :requests)
ON CONFLICT (hour, exchange, reason) DO UPDATE
SET requests = rollup.requests + excluded.requests;

-- name: clear_event_columns()!
UPDATE rollup_delivery
SET wins = 0, losses = 0, impressions = 0, clicks = 0, conversions = 0, spend_nanos = 0;

-- name: fill_event_columns()!
INSERT INTO rollup_delivery
    (hour, campaign_id, creative_id, exchange,
     wins, losses, impressions, clicks, conversions, spend_nanos)
SELECT date_trunc('hour', occurred_at, 'UTC'), campaign_id, creative_id, exchange,
       count(*) FILTER (WHERE kind = 'win'),
       count(*) FILTER (WHERE kind = 'loss'),
       count(*) FILTER (WHERE kind = 'impression'),
       count(*) FILTER (WHERE kind = 'click'),
       count(*) FILTER (WHERE kind = 'conversion'),
       sum(cost_nanos)
FROM event
WHERE NOT test
GROUP BY 1, 2, 3, 4
ON CONFLICT (hour, campaign_id, creative_id, exchange) DO UPDATE
SET wins = excluded.wins,
    losses = excluded.losses,
    impressions = excluded.impressions,
    clicks = excluded.clicks,
    conversions = excluded.conversions,
    spend_nanos = excluded.spend_nanos;

-- name: drop_empty_rows()!
DELETE FROM rollup_delivery
WHERE bids + wins + losses + impressions + clicks + conversions + spend_nanos = 0;

-- name: add_candidates*!
INSERT INTO rollup_candidates AS rollup (hour, campaign_id, exchange, sampled, outcome, candidates)
VALUES (:hour, :campaign_id, :exchange, :sampled, :outcome, :candidates)
ON CONFLICT (hour, campaign_id, exchange, sampled, outcome) DO UPDATE
SET candidates = rollup.candidates + excluded.candidates;

-- name: forget_bids(since)!
UPDATE rollup_delivery SET bids = 0 WHERE hour >= :since;

-- name: forget_requests(since)!
DELETE FROM rollup_requests WHERE hour >= :since;

-- name: forget_candidates(since)!
DELETE FROM rollup_candidates WHERE hour >= :since;
