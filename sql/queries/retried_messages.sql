-- name: find_retried(consumer_group, origins)
SELECT origin, partition, "offset" FROM retried_message
WHERE consumer_group = :consumer_group AND origin = ANY(:origins);

-- name: record_retried*!
INSERT INTO retried_message (consumer_group, origin, partition, "offset")
VALUES (:consumer_group, :origin, :partition, :offset)
ON CONFLICT DO NOTHING;
