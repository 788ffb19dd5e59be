-- name: read(wait_sec)
SELECT shard, run_id, mark, generation, made,
       began_at <= now() - make_interval(secs => :wait_sec) AS waited
FROM redis_mark;

-- name: found_right(shard)$
SELECT run_id FROM redis_mark WHERE shard = :shard;

-- name: advance(shards, marks)!
UPDATE redis_mark SET mark = greatest(redis_mark.mark, told.mark)
FROM unnest(:shards::integer[], :marks::bigint[]) AS told (shard, mark)
WHERE redis_mark.shard = told.shard;

-- name: begin(shard, generation, run_id, mark)^
-- Another server, or the same one from the past: what was held right of it before is so no more.
-- Nothing, if somebody else has begun meanwhile. The first there ever is need not be waited for.
INSERT INTO redis_mark AS known (shard, run_id, mark, generation, began_at)
VALUES (:shard, :run_id, :mark, 1, 'epoch')
ON CONFLICT (shard) DO UPDATE
SET run_id = excluded.run_id, mark = greatest(known.mark, excluded.mark),
    generation = known.generation + 1, began_at = now(), made = false
WHERE known.generation = :generation
RETURNING generation, mark;

-- name: made(shards, generations)!
-- Not of a shard whose server was found wrong once more meanwhile.
UPDATE redis_mark SET made = true
FROM unnest(:shards::integer[], :generations::bigint[]) AS of (shard, generation)
WHERE redis_mark.shard = of.shard AND redis_mark.generation = of.generation;

-- name: take_recounted()
DELETE FROM recounted_campaign RETURNING campaign_id;
