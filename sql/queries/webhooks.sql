-- name: create_webhook(url, event_types, advertiser_id, secret)$
INSERT INTO webhook (url, event_types, advertiser_id, secret)
VALUES (:url, :event_types, :advertiser_id, :secret)
RETURNING id;

-- name: webhooks(webhook_id)
-- Without secrets; null: all that were not deleted.
SELECT w.id, w.url, w.event_types, w.advertiser_id, w.status, w.paused_because, w.created_at,
       count(d.id) FILTER (WHERE d.state = 'pending'),
       count(d.id) FILTER (WHERE d.state = 'delivered'),
       count(d.id) FILTER (WHERE d.state = 'failed')
FROM webhook AS w
LEFT JOIN webhook_delivery AS d ON d.webhook_id = w.id
WHERE w.status <> 'deleted' AND (:webhook_id::integer IS NULL OR w.id = :webhook_id)
GROUP BY w.id
ORDER BY w.id;

-- name: lock_webhook(webhook_id)$
SELECT status FROM webhook WHERE id = :webhook_id AND status <> 'deleted' FOR UPDATE;

-- name: set_status(webhook_id, status, because)!
UPDATE webhook SET status = :status, paused_because = :because WHERE id = :webhook_id;

-- name: drop_deliveries(webhook_id)!
DELETE FROM webhook_delivery WHERE webhook_id = :webhook_id;

-- name: record(actor, webhook_id, action, after)!
INSERT INTO audit (actor, entity, entity_id, action, after)
VALUES (:actor, 'webhook', :webhook_id, :action, :after::jsonb);

-- name: pause_gone(webhook_id, because)!
UPDATE webhook SET status = 'paused', paused_because = :because
WHERE id = :webhook_id AND status = 'active';

-- name: make_deliveries*!
-- For each webhook that asked for it, and was there when it happened; nothing for one that has it.
INSERT INTO webhook_delivery (webhook_id, event_id, event_type, body)
SELECT id, :event_id, :event_type, :body
FROM webhook
WHERE status <> 'deleted' AND created_at <= :at
  AND (event_types = '{}' OR :event_type = ANY(event_types))
  AND (advertiser_id IS NULL OR advertiser_id = :advertiser_id)
ON CONFLICT DO NOTHING;

-- name: make_delivery(webhook_id, event_id, event_type, body)$
INSERT INTO webhook_delivery (webhook_id, event_id, event_type, body)
VALUES (:webhook_id, :event_id, :event_type, :body)
RETURNING id;

-- name: take_due(busy, webhooks, each, lease_sec)
-- A few for each of some webhooks that are not busy, those that wait longest first. Those of paused
-- webhooks wait. Whoever takes one has it for lease_sec.
WITH owed AS (
    SELECT w.id, w.url, w.secret, longest.since
    FROM webhook AS w CROSS JOIN LATERAL (
        SELECT next_attempt_at AS since
        FROM webhook_delivery
        WHERE webhook_id = w.id AND state = 'pending' AND next_attempt_at <= now()
        ORDER BY next_attempt_at
        LIMIT 1
    ) AS longest
    WHERE w.status = 'active' AND NOT w.id = ANY(:busy::integer[])
    ORDER BY longest.since
    LIMIT :webhooks
),
due AS MATERIALIZED (
    SELECT d.id, owed.url, owed.secret
    FROM owed CROSS JOIN LATERAL (
        SELECT id
        FROM webhook_delivery
        WHERE webhook_id = owed.id AND state = 'pending' AND next_attempt_at <= now()
        ORDER BY next_attempt_at, id
        LIMIT :each
        FOR UPDATE SKIP LOCKED
    ) AS d
)
UPDATE webhook_delivery AS d
SET attempts = d.attempts + 1, first_attempt_at = coalesce(d.first_attempt_at, now()),
    next_attempt_at = now() + make_interval(secs => :lease_sec)
FROM due
WHERE d.id = due.id
RETURNING d.id, d.webhook_id, d.event_id, d.body, d.attempts,
          extract(epoch FROM now() - d.first_attempt_at)::float8, due.url, due.secret;

-- name: give_back(delivery_ids, delay_sec)!
-- What was taken and not tried.
UPDATE webhook_delivery
SET attempts = attempts - 1, next_attempt_at = now() + make_interval(secs => :delay_sec),
    first_attempt_at = CASE WHEN attempts > 1 THEN first_attempt_at END
WHERE id = ANY(:delivery_ids::bigint[]) AND state = 'pending';

-- name: finish(delivery_id, state, answer)!
UPDATE webhook_delivery SET state = :state, answer = :answer, finished_at = now()
WHERE id = :delivery_id AND state = 'pending';

-- name: postpone(delivery_id, delay_sec, answer)!
UPDATE webhook_delivery
SET answer = :answer, next_attempt_at = now() + make_interval(secs => :delay_sec)
WHERE id = :delivery_id AND state = 'pending';

-- name: deliveries(webhook_id, state, limit)
SELECT id, webhook_id, event_id, event_type, created_at, state, attempts,
       CASE WHEN state = 'pending' THEN next_attempt_at END, finished_at, answer
FROM webhook_delivery
WHERE (:webhook_id::integer IS NULL OR webhook_id = :webhook_id)
  AND (:state::text IS NULL OR state = :state)
ORDER BY id DESC
LIMIT :limit;

-- name: retry(webhook_id, delivery_ids)
-- Those that failed: the ones named, or (null) all of the webhook.
UPDATE webhook_delivery
SET state = 'pending', attempts = 0, first_attempt_at = NULL, finished_at = NULL,
    next_attempt_at = now()
WHERE state = 'failed' AND webhook_id = :webhook_id
  AND (:delivery_ids::bigint[] IS NULL OR id = ANY(:delivery_ids))
RETURNING id;

-- name: forget_finished(keep_days)!
DELETE FROM webhook_delivery
WHERE state <> 'pending' AND finished_at < now() - make_interval(days => :keep_days);
