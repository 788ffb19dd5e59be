-- name: any_erasure()$
SELECT EXISTS (SELECT FROM erasure);

-- name: erased_days(subjects)
SELECT subject, max((erased_at AT TIME ZONE 'UTC')::date) FROM erasure
WHERE subject = ANY(:subjects) GROUP BY 1;

-- name: record(subject, actor)<!
INSERT INTO erasure (subject, actor) VALUES (:subject, :actor) RETURNING id, erased_at;

-- name: keep_receipt(id, receipt)!
UPDATE erasure SET receipt = :receipt::jsonb WHERE id = :id;

-- name: blank_events(user_hash)!
UPDATE event SET user_hash = '' WHERE user_hash = :user_hash;

-- name: blank_rejected(user_hash)!
UPDATE rejected_event
SET raw = convert_to(replace(convert_from(raw, 'LATIN1'), :user_hash::text, ''), 'LATIN1')
WHERE position(convert_to(:user_hash::text, 'LATIN1') IN raw) > 0;

-- name: count_events(user_hash)$
SELECT count(*) FROM event WHERE user_hash = :user_hash;

-- name: count_rejected(user_hash)$
SELECT count(*) FROM rejected_event WHERE position(convert_to(:user_hash::text, 'LATIN1') IN raw) > 0;
