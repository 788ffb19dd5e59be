-- name: read(consumer_group)^
SELECT cluster_id, counted_marks, complete, searched_until
FROM group_progress WHERE consumer_group = :consumer_group;

-- name: go_to(consumer_group, cluster_id)!
INSERT INTO group_progress (consumer_group, cluster_id) VALUES (:consumer_group, :cluster_id)
ON CONFLICT (consumer_group) DO UPDATE SET cluster_id = excluded.cluster_id;

-- name: begin_search(consumer_group, counted_marks, searched_until)!
-- What is stored from here on is found by its part, what was before by its counts.
UPDATE group_progress SET counted_marks = :counted_marks, searched_until = :searched_until
WHERE consumer_group = :consumer_group;

-- name: searched(consumer_group, searched_until)!
UPDATE group_progress SET searched_until = :searched_until WHERE consumer_group = :consumer_group;

-- name: searched_all(consumer_group)!
UPDATE group_progress SET complete = true, searched_until = NULL
WHERE consumer_group = :consumer_group;

-- name: counted(consumer_group, cluster_id, counted_marks)!
UPDATE group_progress SET counted_marks = :counted_marks
WHERE consumer_group = :consumer_group AND cluster_id = :cluster_id AND searched_until IS NULL;

-- name: is_complete(consumer_group)$
SELECT coalesce((SELECT complete FROM group_progress WHERE consumer_group = :consumer_group), false);

-- name: incomplete(consumer_group)!
UPDATE group_progress SET complete = false WHERE consumer_group = :consumer_group AND complete;

-- name: stored_parts(streams, unit)
SELECT stream, part, last_id FROM stored_part WHERE stream = ANY(:streams) AND unit = :unit;

-- name: rebuilt_parts(consumer_group)
SELECT part, stream_marks FROM rebuilt_part WHERE consumer_group = :consumer_group;

-- name: rebuilt(consumer_group, parts, stream_marks)!
INSERT INTO rebuilt_part (consumer_group, part, stream_marks)
SELECT :consumer_group, unnest(:parts::timestamptz[]), :stream_marks
ON CONFLICT (consumer_group, part) DO UPDATE SET stream_marks = excluded.stream_marks;

-- name: forget_rebuilt(consumer_group, parts)!
DELETE FROM rebuilt_part
WHERE consumer_group = :consumer_group AND part = ANY(:parts::timestamptz[]);

-- name: forget_all_rebuilt(consumer_group)!
DELETE FROM rebuilt_part WHERE consumer_group = :consumer_group;
