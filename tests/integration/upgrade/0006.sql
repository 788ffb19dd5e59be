INSERT INTO rollup_candidates (hour, campaign_id, exchange, outcome, candidates) VALUES
    ('2026-10-01 10:00+00', 1, 'default', 'bid', 80), ('2026-10-01 10:00+00', 1, 'default', 'capped', 7);
