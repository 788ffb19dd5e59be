-- name: reject(stream, stream_id, reason, raw, late, odd)!
-- Of an event that waits already nothing is kept: Redis had forgotten it and counted it twice.
WITH said AS (
    SELECT * FROM rejected_event_says(:raw, :odd)
), kept AS (
    INSERT INTO rejected_event (stream, stream_id, reason, raw, late, odd)
    SELECT :stream, :stream_id, :reason, :raw, :late, :odd
    FROM said
    WHERE NOT EXISTS (SELECT FROM rejected_event AS r WHERE r.event_id = said.event_id)
    ON CONFLICT DO NOTHING
    RETURNING stream_id
)
INSERT INTO recounted_campaign
SELECT c.id FROM said JOIN campaign AS c ON c.id = said.campaign_id
WHERE said.cost_nanos > 0 AND NOT EXISTS (SELECT FROM kept)
ON CONFLICT DO NOTHING;

-- name: refuse_again(stream, stream_id, reason)!
UPDATE rejected_event SET reason = :reason WHERE stream = :stream AND stream_id = :stream_id;

-- name: forget(streams, stream_ids)!
DELETE FROM rejected_event
WHERE (stream, stream_id) IN (SELECT * FROM unnest(:streams::text[], :stream_ids::text[]));

-- name: waiting()
-- Oldest first. A campaign's name is null where there is no such campaign.
SELECT r.stream, r.stream_id, r.rejected_at, r.kind, r.campaign_id, c.name, r.cost_nanos, r.reason
FROM rejected_event AS r LEFT JOIN campaign AS c ON c.id = r.campaign_id
ORDER BY r.rejected_at, r.stream, r.stream_id;

-- name: entries(streams, stream_ids)
SELECT r.stream, r.stream_id, r.raw, r.late, r.odd, c.advertiser_id
FROM rejected_event AS r
JOIN unnest(:streams::text[], :stream_ids::text[]) WITH ORDINALITY AS asked (stream, stream_id, place)
  USING (stream, stream_id)
LEFT JOIN campaign AS c ON c.id = r.campaign_id
ORDER BY asked.place;

-- name: reasons(streams, stream_ids)
SELECT stream, stream_id, reason FROM rejected_event
WHERE (stream, stream_id) IN (SELECT * FROM unnest(:streams::text[], :stream_ids::text[]));

-- name: stored_as(dates, ids)
SELECT known.stream_id
FROM unnest(:dates::date[], :ids::text[]) AS asked (event_date, event_id)
CROSS JOIN LATERAL (
    SELECT stream_id FROM event
    WHERE event_date = asked.event_date AND event_id = asked.event_id LIMIT 1
) AS known;

-- name: billed_by_another(event_date, event_id, bid_id)$
-- Whether another event of the bid has been billed.
SELECT EXISTS (
    SELECT FROM event
    WHERE event_date = :event_date AND event_id <> :event_id AND cost_nanos > 0
      AND event_id = ANY(array[:bid_id || ':impression', :bid_id || ':bill', :bid_id || ':win'])
);

-- name: count()^
-- Those that cost something, those that cost nothing, and those whose cost cannot be known.
SELECT count(*) FILTER (WHERE cost_nanos > 0), count(*) FILTER (WHERE cost_nanos = 0),
       count(*) FILTER (WHERE cost_nanos IS NULL), coalesce(sum(cost_nanos), 0)
FROM rejected_event;

-- name: raise_alarms(kind, at)!
-- One for each campaign, and one for all that can be told of none, in each hour that has new ones.
INSERT INTO alarm (kind, campaign_id, percent, scope, raised_at, budget_nanos, spent_nanos, events)
SELECT :kind, c.id, 0, to_char(max(r.rejected_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24'), :at,
       coalesce(max(c.total_budget_nanos), 0),
       least(coalesce(sum(r.cost_nanos), 0), 9223372036854775807)::bigint, count(*)
FROM rejected_event AS r LEFT JOIN campaign AS c ON c.id = r.campaign_id
GROUP BY c.id
ON CONFLICT DO NOTHING;

-- name: lock(lock)$
SELECT pg_try_advisory_lock(:lock);

-- name: unlock()!
SELECT pg_advisory_unlock_all();
