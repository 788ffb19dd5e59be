INSERT INTO erasure (subject, actor, receipt) VALUES (md5('someone'), 'ann', '{"events": 12}');
INSERT INTO dropped_day (day, actor, events, cost_nanos, rebuild_from)
VALUES ('2026-01-01', 'pacer', 10, 20000000, '2026-01-02 00:00+00');
