-- name: take_turn(lock)$
SELECT pg_advisory_xact_lock(:lock);

-- name: note_seen(ids, fingerprints)!
INSERT INTO signing_key (id, fingerprint)
SELECT * FROM unnest(:ids::smallint[], :fingerprints::text[])
ON CONFLICT DO NOTHING;

-- name: note_signed(ids, fingerprints, at_ms)!
INSERT INTO signing_key AS known (id, fingerprint, signs_since, last_signed_at)
SELECT id, fingerprint, to_timestamp(ms / 1000.0), to_timestamp(ms / 1000.0)
FROM unnest(:ids::smallint[], :fingerprints::text[], :at_ms::bigint[]) AS told (id, fingerprint, ms)
ON CONFLICT (id, fingerprint) DO UPDATE
SET signs_since = coalesce(known.signs_since, excluded.signs_since),
    last_signed_at = greatest(known.last_signed_at, excluded.last_signed_at);

-- name: note_pixels_used(ids, at_ms)!
UPDATE signing_key AS known
SET pixel_used_at = greatest(known.pixel_used_at, to_timestamp(told.ms / 1000.0))
FROM (SELECT id, max(ms) AS ms FROM unnest(:ids::smallint[], :at_ms::bigint[]) AS all_of (id, ms)
      GROUP BY id) AS told
WHERE known.id = told.id AND known.retired_at IS NULL;

-- name: every()
SELECT id, fingerprint, added, created_at, signs_since, last_signed_at, pixel_used_at, retired_at
FROM signing_key
ORDER BY id, created_at;

-- name: add(key_id, fingerprint, now)!
INSERT INTO signing_key (id, fingerprint, added, created_at)
VALUES (:key_id, :fingerprint, true, :now);

-- name: promote(key_id, fingerprint, now)!
UPDATE signing_key SET signs_since = :now WHERE id = :key_id AND fingerprint = :fingerprint;

-- name: superseded(key_id, fingerprint, now)!
UPDATE signing_key
SET signs_since = coalesce(signs_since, created_at),
    last_signed_at = greatest(last_signed_at, :now)
WHERE id = :key_id AND fingerprint = :fingerprint;

-- name: retire(key_id, fingerprint, now)!
UPDATE signing_key SET retired_at = :now WHERE id = :key_id AND fingerprint = :fingerprint;
