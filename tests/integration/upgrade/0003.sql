-- What an installation of the first migrations has after two days of delivery: 2 advertisers, 4
-- campaigns, 240 bids won and shown, 60 lost, 40 clicked on, 6 conversions.
INSERT INTO advertiser (name, status) VALUES ('Acme', 'active'), ('Globex', 'paused');
INSERT INTO campaign (advertiser_id, name, status, bid_strategy, bid_amount_micros,
                      daily_budget_nanos, total_budget_nanos, starts_at, ends_at, timezone, pacing,
                      targeting, caps)
VALUES (1, 'Spring', 'active', 'cpm', 2500000, 50000000000, 500000000000, '2026-09-01', NULL,
        'Europe/Berlin', 'even', '{"countries": ["DEU", "FRA"], "domains_exclude": ["bad.example"]}',
        '[{"limit": 3, "window_sec": 86400}]'),
       (1, 'Summer', 'paused', 'cpc', 1500000, 100000000000, 100000000000, '2026-09-01',
        '2027-09-01', 'UTC', 'asap', '{}', '[]'),
       (1, 'Old', 'archived', 'cpm', 1000000, 1000000000, 1000000000, '2025-01-01', '2025-02-01',
        'America/New_York', 'even', '{}', '[]'),
       (2, 'Spring', 'active', 'cpa', 9000000, 20000000000, 90000000000, '2026-09-01', NULL,
        'Asia/Tokyo', 'even', '{}', '[]');
INSERT INTO creative (campaign_id, name, kind, status, landing_url, adomain, width, height, image_url)
SELECT id, 'box', 'banner', CASE status WHEN 'archived' THEN 'archived' ELSE 'active' END,
       'https://www.acme.example/' || id, '["acme.example"]', 300, 250,
       'https://cdn.acme.example/box.png'
FROM campaign ORDER BY id;
INSERT INTO audit (actor, entity, entity_id, action, before, after)
SELECT 'ann', 'campaign', id, 'create', NULL::jsonb, jsonb_build_object('name', name) FROM campaign
UNION ALL
SELECT 'bob', 'campaign', 2, 'pause', '{"status": "active"}'::jsonb, '{"status": "paused"}'::jsonb;

SELECT event_partition('2026-10-01');
SELECT event_partition('2026-10-02');
-- Bid n is won by campaign 1, 2 or 4; told in the order win, impression, click, conversion.
INSERT INTO event (event_date, event_id, kind, occurred_at, bid_id, campaign_id, creative_id, exchange,
                   price_cpm_micros, cost_nanos, unpriced, late, test, loss_reason, user_hash,
                   stream_id)
SELECT date '2026-10-01' + n % 2, n || ':' || told.kind, told.kind,
       timestamptz '2026-10-01 10:00+00' + (n % 2) * interval '1 day' + n * interval '1 minute'
           + told.place * interval '1 second',
       n::text, campaign, campaign, CASE n % 5 WHEN 0 THEN 'second' ELSE 'default' END,
       CASE WHEN told.kind = 'loss' THEN 0 ELSE 2000000 + n * 1000 END,
       CASE WHEN told.kind = 'impression' THEN 2000000 + n * 1000 ELSE 0 END,
       n % 50 = 0 AND told.kind = 'impression', n % 40 = 0 AND told.kind = 'impression',
       false, CASE WHEN told.kind = 'loss' THEN 102 ELSE 0 END,
       CASE n % 3 WHEN 0 THEN '' ELSE md5((n % 20)::text) END,
       1790000000000 + n * 10 + told.place || '-' || n % 2
FROM generate_series(1, 300) AS n
CROSS JOIN LATERAL (SELECT (array[1, 2, 4])[1 + n % 3]) AS chosen (campaign)
JOIN (VALUES ('loss', 0), ('win', 1), ('impression', 2), ('click', 3), ('conversion', 4))
    AS told (kind, place)
    ON (told.kind = 'loss') = (n % 5 = 4)
       AND (told.kind <> 'click' OR n % 6 = 0)
       AND (told.kind <> 'conversion' OR n % 48 = 0);
INSERT INTO ledger_entry (transaction, account, campaign_id, amount_nanos, occurred_at)
SELECT event_id, account, campaign_id, CASE account WHEN 'campaign' THEN 1 ELSE -1 END * cost_nanos,
       occurred_at
FROM event CROSS JOIN (VALUES ('campaign'), ('exchange')) AS accounts (account)
WHERE cost_nanos > 0
ORDER BY occurred_at;
INSERT INTO rollup_delivery (hour, campaign_id, creative_id, exchange, bids, wins, losses, impressions,
                             clicks, conversions, spend_nanos)
SELECT date_trunc('hour', occurred_at, 'UTC'), campaign_id, creative_id, exchange,
       count(DISTINCT bid_id), count(*) FILTER (WHERE kind = 'win'),
       count(*) FILTER (WHERE kind = 'loss'), count(*) FILTER (WHERE kind = 'impression'),
       count(*) FILTER (WHERE kind = 'click'), count(*) FILTER (WHERE kind = 'conversion'),
       sum(cost_nanos)
FROM event GROUP BY 1, 2, 3, 4;
INSERT INTO rollup_requests VALUES
    ('2026-10-01 10:00+00', 'default', '', 240), ('2026-10-01 10:00+00', 'default', 'no_match', 60);
INSERT INTO stream_position (stream, reader, last_id) VALUES
    ('adctl:{s0}:events', 'postgres', '1790000003100-0'),
    ('adctl:{s0}:events', 'kafka:adctl-0123456789abcdef', '1790000003100-0');
INSERT INTO consumer_position (cluster_id, consumer_group, topic, partition, next_offset)
VALUES ('adctl-0123456789abcdef', 'analytics', 'impressions', 0, 240),
       ('adctl-0123456789abcdef', 'analytics', 'wins', 1, 300);
