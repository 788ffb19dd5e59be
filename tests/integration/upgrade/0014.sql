INSERT INTO conversion_order (advertiser_id, order_id, event_date, event_id)
SELECT 1, 'order-' || bid_id, event_date, event_id FROM event WHERE kind = 'conversion';
INSERT INTO rollup_landscape (hour, exchange, country, device, price_bucket, bids, wins, paid_micros)
VALUES ('2026-10-01 10:00+00', 'default', 'DEU', 'phone', 120, 50, 40, 80000000);
