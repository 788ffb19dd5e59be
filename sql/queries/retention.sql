-- name: days()
-- The partitions of the event table, with estimates of their rows, and whether rejected events wait to
-- go there.
SELECT to_date(substr(child.relname, 7), 'YYYYMMDD') AS day, child.relname::text,
       greatest(child.reltuples, 0)::bigint AS rows, pg_total_relation_size(child.oid) AS bytes,
       EXISTS (SELECT FROM rejected_event
               WHERE event_date = to_date(substr(child.relname, 7), 'YYYYMMDD')) AS awaited
FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid
WHERE inhparent = 'event'::regclass
ORDER BY 1;

-- name: sizes()
-- Tables of ours but for the event table's partitions, which are its own.
SELECT relname::text,
       (SELECT count(*) FROM pg_inherits WHERE inhparent = t.oid) AS partitions,
       greatest(reltuples, 0)::bigint + coalesce((
           SELECT sum(greatest(c.reltuples, 0))::bigint
           FROM pg_inherits JOIN pg_class AS c ON c.oid = inhrelid WHERE inhparent = t.oid), 0),
       pg_total_relation_size(t.oid) + coalesce((
           SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits
           WHERE inhparent = t.oid), 0)::bigint AS bytes,
       pg_indexes_size(t.oid) + coalesce((
           SELECT sum(pg_indexes_size(inhrelid)) FROM pg_inherits
           WHERE inhparent = t.oid), 0)::bigint AS index_bytes
FROM pg_class AS t JOIN pg_namespace AS n ON n.oid = relnamespace
WHERE n.nspname = 'public' AND relkind IN ('r', 'p') AND NOT relispartition
ORDER BY bytes DESC, relname;

-- name: events_of(day)^
SELECT count(*), coalesce(sum(cost_nanos), 0) FROM event WHERE event_date = :day;

-- name: record(day, actor, events, cost_nanos, rebuild_from)!
INSERT INTO dropped_day (day, actor, events, cost_nanos, rebuild_from)
VALUES (:day, :actor, :events, :cost_nanos, :rebuild_from);

-- name: last_dropped()$
SELECT max(day) FROM dropped_day;

-- name: rebuild_from()$
SELECT max(rebuild_from) FROM dropped_day;
