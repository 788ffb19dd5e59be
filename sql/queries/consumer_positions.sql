-- name: begin_partition!
INSERT INTO consumer_position (cluster_id, consumer_group, topic, partition, next_offset)
VALUES (:cluster_id, :consumer_group, :topic, :partition, 0)
ON CONFLICT DO NOTHING;

-- name: is_known$
SELECT EXISTS (
    SELECT FROM consumer_position
    WHERE cluster_id = :cluster_id AND consumer_group = :consumer_group AND topic <> :decisions);

-- name: forget_other_clusters!
-- Offsets of decisions are kept: nothing else would keep those from being counted twice.
DELETE FROM consumer_position
WHERE cluster_id <> :cluster_id AND consumer_group = :consumer_group AND topic <> :decisions;

-- name: block_changes#
LOCK TABLE consumer_position, rollup_delivery IN SHARE ROW EXCLUSIVE MODE;

-- name: announce_change#
LOCK TABLE consumer_position IN ROW EXCLUSIVE MODE;

-- name: lock_positions
SELECT topic, partition, next_offset, last_stream_id
FROM consumer_position
WHERE cluster_id = :cluster_id AND consumer_group = :consumer_group
ORDER BY topic, partition
FOR UPDATE;

-- name: read_consumer_positions
SELECT topic, partition, next_offset, last_stream_id
FROM consumer_position
WHERE cluster_id = :cluster_id AND consumer_group = :consumer_group;

-- name: advance_partition*!
INSERT INTO consumer_position
    (cluster_id, consumer_group, topic, partition, next_offset, last_stream_id)
VALUES (:cluster_id, :consumer_group, :topic, :partition, :next_offset, :last_stream_id)
ON CONFLICT (cluster_id, consumer_group, topic, partition) DO UPDATE
SET next_offset = excluded.next_offset, last_stream_id = excluded.last_stream_id;

-- name: skip_up_to!
UPDATE consumer_position SET last_stream_id = :last_stream_id
WHERE consumer_group = :consumer_group AND topic <> :decisions;
