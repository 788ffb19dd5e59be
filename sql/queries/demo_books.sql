-- name: read_events()
SELECT event_id, cost_nanos FROM event;

-- name: delivered()
SELECT kind, count(*) FROM event WHERE NOT test GROUP BY kind;

-- name: rolled_up()^
SELECT coalesce(sum(wins), 0)::bigint AS win,
       coalesce(sum(losses), 0)::bigint AS loss,
       coalesce(sum(impressions), 0)::bigint AS impression,
       coalesce(sum(clicks), 0)::bigint AS click,
       coalesce(sum(conversions), 0)::bigint AS conversion,
       coalesce(sum(spend_nanos), 0)::bigint AS spend_nanos
FROM rollup_delivery;

-- name: ledger()
SELECT campaign_id, sum(amount_nanos)::bigint
FROM ledger_entry WHERE account = 'campaign' GROUP BY campaign_id;

-- name: no_bids()
SELECT reason, sum(requests)::bigint
FROM rollup_requests WHERE reason <> '' GROUP BY reason ORDER BY 2 DESC, 1;

-- name: rejected()$
SELECT count(*) FROM rejected_event;

-- name: campaigns()
SELECT id, name, status, bid_strategy FROM campaign ORDER BY id;

-- name: recounted()$
SELECT count(*) FROM recounted_campaign;
