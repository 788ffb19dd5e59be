-- name: begin_partition(cluster_id, consumer_group, topic, partition)!
INSERT INTO consumer_position (cluster_id, consumer_group, topic, partition, next_offset)
VALUES (:cluster_id, :consumer_group, :topic, :partition, 0)
ON CONFLICT DO NOTHING;

-- name: is_known(cluster_id, consumer_group, known_by)$
SELECT EXISTS (
    SELECT FROM consumer_position
    WHERE cluster_id = :cluster_id AND consumer_group = :consumer_group
      AND topic = ANY(:known_by));

-- name: forget_other_clusters(cluster_id, consumer_group, keyed)!
-- Offsets of messages without a stream id are kept: nothing else keeps those from being counted twice.
DELETE FROM consumer_position
WHERE cluster_id <> :cluster_id AND consumer_group = :consumer_group AND topic = ANY(:keyed);

-- name: hold_group(consumer_group)
-- Of the session, so that a transaction can begin after it, and see what was done until then.
SELECT pg_advisory_lock(7237442, hashtext(:consumer_group));

-- name: release_group(consumer_group)
SELECT pg_advisory_unlock(7237442, hashtext(:consumer_group));

-- name: announce_change(consumer_group)
SELECT pg_advisory_xact_lock_shared(7237442, hashtext(:consumer_group));

-- name: forget_cluster(cluster_id, consumer_group, keyed)!
DELETE FROM consumer_position
WHERE cluster_id = :cluster_id AND consumer_group = :consumer_group AND topic = ANY(:keyed);

-- name: begin_anew(cluster_id, consumer_group, topic, partition)!
DELETE FROM consumer_position
WHERE cluster_id = :cluster_id AND consumer_group = :consumer_group
  AND topic = :topic AND partition = :partition;

-- name: marks(consumer_group, keyed)
SELECT cluster_id, topic, partition, last_stream_id, rebuilt_stream_id FROM consumer_position
WHERE consumer_group = :consumer_group AND topic = ANY(:keyed);

-- name: rebuilt_whole(last_stream_id, rebuilt_stream_id, cluster_id, consumer_group, topic, partition)!
UPDATE consumer_position
SET last_stream_id = :last_stream_id, rebuilt_stream_id = :rebuilt_stream_id, rebuilt_since = NULL
WHERE cluster_id = :cluster_id AND consumer_group = :consumer_group
  AND topic = :topic AND partition = :partition;

-- name: lock_positions(cluster_id, consumer_group)
SELECT topic, partition, next_offset, last_stream_id, replay_until, replay_from, rewinds,
       rebuilt_stream_id, rebuilt_since
FROM consumer_position
WHERE cluster_id = :cluster_id AND consumer_group = :consumer_group
ORDER BY topic, partition
FOR UPDATE;

-- name: read_positions(cluster_id, consumer_group)
SELECT topic, partition, next_offset, last_stream_id, replay_until, replay_from, rewinds,
       rebuilt_stream_id, rebuilt_since
FROM consumer_position
WHERE cluster_id = :cluster_id AND consumer_group = :consumer_group;

-- name: advance_partition*!
INSERT INTO consumer_position
    (cluster_id, consumer_group, topic, partition, next_offset, last_stream_id)
VALUES (:cluster_id, :consumer_group, :topic, :partition, :next_offset, :stream_marks)
ON CONFLICT (cluster_id, consumer_group, topic, partition) DO UPDATE
SET next_offset = excluded.next_offset, last_stream_id = excluded.last_stream_id;

-- name: skip_up_to(stream_marks, consumer_group, keyed)!
UPDATE consumer_position
SET last_stream_id = :stream_marks, rebuilt_stream_id = :stream_marks, rebuilt_since = NULL
WHERE consumer_group = :consumer_group AND topic = ANY(:keyed);

-- name: skip_since(stream_marks, since, consumer_group, keyed)!
UPDATE consumer_position SET rebuilt_stream_id = :stream_marks, rebuilt_since = :since
WHERE consumer_group = :consumer_group AND topic = ANY(:keyed);

-- name: partly_rebuilt(consumer_group)
SELECT last_stream_id, rebuilt_stream_id, rebuilt_since FROM consumer_position
WHERE consumer_group = :consumer_group AND rebuilt_since IS NOT NULL;

-- name: rewind_partition*!
UPDATE consumer_position
SET next_offset = :next_offset, replay_until = :replay_until, replay_from = :replay_from,
    rewinds = rewinds + 1
WHERE cluster_id = :cluster_id AND consumer_group = :consumer_group
  AND topic = :topic AND partition = :partition;

-- name: is_elsewhere(cluster_id, consumer_group)$
SELECT EXISTS (
    SELECT FROM consumer_position
    WHERE cluster_id <> :cluster_id AND consumer_group = :consumer_group);
