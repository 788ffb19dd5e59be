-- name: exchange_prices(newest, since, days, low_percent, exchanges, kinds, usual_kind)
-- How lately billed impressions were priced, by exchange: without a price, above the bid, or at next to
-- nothing of it. Each campaign's newest events, which its index has in order; what bills depends on
-- the exchange.
SELECT e.exchange, count(*),
       count(*) FILTER (WHERE e.unpriced),
       count(*) FILTER (WHERE e.odd = 'above_bid'),
       count(*) FILTER (WHERE NOT e.unpriced
                        AND e.price_cpm_micros * 100 < e.bid_cpm_micros * :low_percent)
FROM campaign AS c
CROSS JOIN LATERAL (
    SELECT exchange, kind, unpriced, odd, test, price_cpm_micros, bid_cpm_micros FROM event
    WHERE campaign_id = c.id AND occurred_at >= :since AND event_date = ANY(:days::date[])
    ORDER BY occurred_at DESC LIMIT :newest
) AS e
LEFT JOIN unnest(:exchanges::text[], :kinds::text[]) AS billing (exchange, kind)
    ON billing.exchange = e.exchange
WHERE e.kind = coalesce(billing.kind, :usual_kind) AND NOT e.test AND e.odd <> 'rebilled'
GROUP BY e.exchange
ORDER BY e.exchange;

-- name: raise_price_alarm(kind, exchange, percent, scope, at, events)!
INSERT INTO alarm (kind, exchange, percent, scope, raised_at, budget_nanos, spent_nanos, events)
VALUES (:kind, :exchange, :percent, :scope, :at, 0, 0, :events)
ON CONFLICT DO NOTHING;
