-- name: catalog_documents(campaign_ids)
-- The documents bidders decide on: campaigns with the creatives that are active.
SELECT
    to_jsonb(c) || jsonb_build_object('creatives', (
        SELECT coalesce(jsonb_agg(to_jsonb(v) ORDER BY v.id), '[]')
        FROM creative AS v
        WHERE v.campaign_id = c.id AND v.status = 'active')),
    CASE WHEN a.prepaid AND NOT a.funded AND a.status = 'active' THEN 'no_balance'
         ELSE a.status END
FROM campaign AS c
JOIN advertiser AS a ON a.id = c.advertiser_id
WHERE c.id = ANY(:campaign_ids)
ORDER BY c.id;

-- name: creative_document(creative_id)$
SELECT to_jsonb(creative) FROM creative WHERE id = :creative_id;

-- name: live_campaign_ids()$
SELECT coalesce(array_agg(id ORDER BY id), '{}') FROM campaign WHERE status <> 'archived';

-- name: servable_campaign_ids()$
SELECT coalesce(array_agg(c.id ORDER BY c.id), '{}')
FROM campaign AS c
JOIN advertiser AS a ON a.id = c.advertiser_id
WHERE c.status = 'active' AND a.status = 'active' AND (a.funded OR NOT a.prepaid)
  AND (c.ends_at IS NULL OR c.ends_at > now());

-- name: spent(campaign_ids, days_began, streams, reader)
-- What a campaign spent, as the ledger says, and the rejected events that are still to be booked: ever,
-- since its day began, and ever but late; and, of the same moment, how far each event stream is in the
-- ledger, and what was confirmed of each shard's Redis.
SELECT
    b.campaign_id,
    (coalesce(l.amount_nanos, 0) + coalesce(r.nanos, 0))::bigint,
    (coalesce((SELECT sum(amount_nanos) FROM ledger_entry AS e
               WHERE e.account = 'campaign' AND e.campaign_id = b.campaign_id
                 AND e.occurred_at >= b.day_began
                 -- The index is by this: no clock is a day ahead.
                 AND e.booked_at >= b.day_began - interval '1 day'), 0)
     + coalesce(r.day_nanos, 0))::bigint,
    (coalesce(l.late_nanos, 0) + coalesce(r.late_nanos, 0))::bigint,
    (SELECT array_agg(coalesce(p.last_id, '0-0') ORDER BY s.place)
     FROM unnest(:streams::text[]) WITH ORDINALITY AS s (stream, place)
     LEFT JOIN stream_position AS p ON p.stream = s.stream AND p.reader = :reader),
    (SELECT array_agg(CASE WHEN m.shard IS NULL THEN '' WHEN m.made
                           THEN m.generation || ' ' || m.run_id ELSE 'not made yet' END
                      ORDER BY s.place)
     FROM unnest(:streams::text[]) WITH ORDINALITY AS s (stream, place)
     LEFT JOIN redis_mark AS m ON m.shard = s.place - 1)
FROM unnest(:campaign_ids::int[], :days_began::timestamptz[]) AS b (campaign_id, day_began)
LEFT JOIN ledger_balance AS l ON l.account = 'campaign' AND l.owner_id = b.campaign_id
CROSS JOIN LATERAL (
    SELECT sum(cost_nanos) AS nanos, sum(cost_nanos) FILTER (WHERE late) AS late_nanos,
           sum(cost_nanos) FILTER (WHERE occurred_at >= b.day_began) AS day_nanos
    FROM rejected_event AS e WHERE e.campaign_id = b.campaign_id AND e.cost_nanos > 0
) AS r;

-- name: take_turn(lock)$
SELECT pg_try_advisory_xact_lock(:lock);

-- name: wait_turn(lock)$
SELECT pg_advisory_xact_lock(:lock);

-- name: unwritten(batch_size)
SELECT id, campaign_id FROM outbox WHERE NOT written ORDER BY id LIMIT :batch_size;

-- name: are_written(ids)!
UPDATE outbox SET written = true WHERE id = ANY(:ids);

-- name: written(batch_size)
SELECT id, campaign_id, message FROM outbox WHERE written ORDER BY id LIMIT :batch_size;

-- name: forget_outbox(ids)!
DELETE FROM outbox WHERE id = ANY(:ids);

-- name: history(entity, entity_id)
-- A campaign's history tells of its creatives and its advertiser too: both decide on its serving.
SELECT id, at, actor, entity, entity_id, action, before, after
FROM audit
WHERE (entity = :entity AND entity_id = :entity_id)
   OR (:entity = 'campaign' AND entity = 'creative'
       AND entity_id IN (SELECT id FROM creative WHERE campaign_id = :entity_id))
   OR (:entity = 'campaign' AND entity = 'advertiser'
       AND entity_id = (SELECT advertiser_id FROM campaign WHERE id = :entity_id)
       AND action IN ('pause', 'resume', 'archive', 'no_balance', 'balance'))
ORDER BY id;
