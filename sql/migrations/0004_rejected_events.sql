-- Stream entries that could not be stored as events: kept as they came, for a person to look at.
CREATE TABLE rejected_event (
    stream       text NOT NULL,
    stream_id    text NOT NULL,
    rejected_at  timestamptz NOT NULL DEFAULT now(),
    reason       text NOT NULL,
    raw          bytea NOT NULL,
    PRIMARY KEY (stream, stream_id)
);

-- Made apart and attached, a partition needs no lock that waits for running reports. Attaching takes
-- this lock anyway; taken first, it makes two programs that need the same partition take turns.
CREATE OR REPLACE FUNCTION event_partition(day date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    partition text := 'event_' || to_char(day, 'YYYYMMDD');
BEGIN
    IF to_regclass(partition) IS NOT NULL THEN RETURN; END IF;
    LOCK TABLE event IN SHARE UPDATE EXCLUSIVE MODE;
    IF to_regclass(partition) IS NOT NULL THEN RETURN; END IF;
    EXECUTE format('CREATE TABLE %I (LIKE event INCLUDING ALL)', partition);
    EXECUTE format(
        'ALTER TABLE event ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
        partition, day, day + 1);
END $$;
