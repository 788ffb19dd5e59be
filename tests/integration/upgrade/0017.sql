INSERT INTO alarm (kind, campaign_id, percent, scope, raised_at, budget_nanos, spent_nanos, published)
VALUES ('budget', 1, 50, 'day 2026-10-01', '2026-10-01 14:00+00', 50000000000, 25000000000, true);
INSERT INTO webhook (url, event_types, advertiser_id, secret)
VALUES ('https://hooks.acme.example/adctl', '{alarm.raised}', 1, 'whsec_c2VjcmV0');
INSERT INTO audit (actor, entity, entity_id, action, after)
VALUES ('ann', 'webhook', 1, 'create', '{"url": "https://hooks.acme.example/adctl"}');
INSERT INTO webhook_delivery (webhook_id, event_id, event_type, body, state, finished_at)
VALUES (1, 'alarm-1', 'alarm.raised', '{}', 'delivered', now());
