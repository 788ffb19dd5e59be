-- name: exchange_prices(newest, since, days, low_percent)
-- How the newest bookings of spend were priced, by exchange: without a price, above the bid, or at
-- next to nothing of it. The ledger says which event billed; it is read from its end.
WITH billed AS (
    SELECT transaction AS event_id FROM ledger_entry
    WHERE id > (SELECT coalesce(max(id), 0) FROM ledger_entry) - :newest
      AND account = 'exchange' AND kind = 'spend' AND booked_at >= :since
)
SELECT e.exchange, count(*),
       count(*) FILTER (WHERE e.unpriced),
       count(*) FILTER (WHERE e.odd = 'above_bid'),
       count(*) FILTER (WHERE NOT e.unpriced
                        AND e.price_cpm_micros * 100 < e.bid_cpm_micros * :low_percent)
FROM billed JOIN event AS e USING (event_id)
WHERE e.event_date = ANY(:days::date[])
GROUP BY e.exchange
ORDER BY e.exchange;

-- name: raise_price_alarm(kind, exchange, percent, scope, at, events)!
INSERT INTO alarm (kind, exchange, percent, scope, raised_at, budget_nanos, spent_nanos, events)
VALUES (:kind, :exchange, :percent, :scope, :at, 0, 0, :events)
ON CONFLICT DO NOTHING;
