-- name: note_used(advertiser_ids, numbers, at_ms)!
-- Of an advertiser that is not there (any more), nothing.
INSERT INTO advertiser_key AS known (advertiser_id, number, created_at, signs_since, used_at)
SELECT a.id, told.number, a.created_at, a.created_at, to_timestamp(told.ms / 1000.0)
FROM unnest(:advertiser_ids::int[], :numbers::smallint[], :at_ms::bigint[])
     AS told (advertiser_id, number, ms)
JOIN advertiser AS a ON a.id = told.advertiser_id
WHERE told.number = 1
   OR EXISTS (SELECT FROM advertiser_key AS k
              WHERE k.advertiser_id = a.id AND k.number = told.number)
ON CONFLICT (advertiser_id, number) DO UPDATE
SET used_at = greatest(known.used_at, excluded.used_at);

-- name: first(advertiser_id)!
-- Writes down the key that every advertiser has.
INSERT INTO advertiser_key (advertiser_id, number, created_at, signs_since)
SELECT id, 1, created_at, created_at FROM advertiser WHERE id = :advertiser_id
ON CONFLICT DO NOTHING;

-- name: every(advertiser_id)
-- Of one advertiser, or of all (null) that are not archived; not those that are retired.
SELECT a.id, a.name, coalesce(k.number, 1::smallint), coalesce(k.created_at, a.created_at),
       CASE WHEN k.number IS NULL THEN a.created_at ELSE k.signs_since END, k.signed_until, k.used_at
FROM advertiser AS a
LEFT JOIN advertiser_key AS k ON k.advertiser_id = a.id
WHERE CASE WHEN :advertiser_id::int IS NULL THEN a.status <> 'archived'
           ELSE a.id = :advertiser_id END
  AND k.retired_at IS NULL
ORDER BY a.id, k.number;

-- name: signing_number(advertiser_id)$
SELECT number FROM advertiser_key
WHERE advertiser_id = :advertiser_id AND signs_since IS NOT NULL AND signed_until IS NULL;

-- name: next_number(advertiser_id)$
SELECT max(number) + 1 FROM advertiser_key WHERE advertiser_id = :advertiser_id;

-- name: add(advertiser_id, number, now)!
INSERT INTO advertiser_key (advertiser_id, number, created_at)
VALUES (:advertiser_id, :number, :now);

-- name: supersede(advertiser_id, now)!
UPDATE advertiser_key SET signed_until = :now
WHERE advertiser_id = :advertiser_id AND signs_since IS NOT NULL AND signed_until IS NULL;

-- name: promote(advertiser_id, number, now)!
UPDATE advertiser_key SET signs_since = :now, signed_until = NULL
WHERE advertiser_id = :advertiser_id AND number = :number;

-- name: retire(advertiser_id, number, now)!
UPDATE advertiser_key SET retired_at = :now
WHERE advertiser_id = :advertiser_id AND number = :number;

-- name: retired_count()$
SELECT count(*) FROM advertiser_key WHERE retired_at IS NOT NULL;

-- name: retired()
SELECT advertiser_id, number FROM advertiser_key WHERE retired_at IS NOT NULL;
