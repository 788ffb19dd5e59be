-- Users who were forgotten: by a hash of their keyed hash, so that nothing leads back to them. What
-- comes of them later (a tracker's spool, an ad bid before) is stored without a user.
CREATE TABLE erasure (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subject    text NOT NULL,
    erased_at  timestamptz NOT NULL DEFAULT now(),
    actor      text NOT NULL CHECK (actor <> ''),
    receipt    jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX erasure_subject ON erasure (subject);

-- Days of events that were dropped, with what they held. Hours from rebuild_from on have all their
-- events; those before cannot be made again.
CREATE TABLE dropped_day (
    day           date PRIMARY KEY,
    dropped_at    timestamptz NOT NULL DEFAULT now(),
    actor         text NOT NULL,
    events        bigint NOT NULL,
    cost_nanos    numeric NOT NULL,
    rebuild_from  timestamptz NOT NULL
);
