-- What a consumer group may have missed when its Kafka cluster is gone, so that it makes anew only that.
--
-- Of each hour, and of each day on which something was booked, the newest event that was stored: the
-- last id of the flusher's transaction, which keeps it. What a group had counted by then it has all of.
CREATE TABLE stored_part (
    stream   text NOT NULL,
    unit     text NOT NULL CHECK (unit IN ('hour', 'day')),
    part     timestamptz NOT NULL,  -- in UTC: the hour events occurred in, the day they were booked
    last_id  text NOT NULL,
    PRIMARY KEY (stream, unit, part)
) WITH (fillfactor = 50);

-- The cluster a group reads, or is about to. It has counted every event up to counted_marks; not so,
-- where it is not complete (it buried some, or they did not come through a stream): then its hours are
-- held against the events before it reads another cluster. searched_until: how far that has come.
CREATE TABLE group_progress (
    consumer_group  text PRIMARY KEY,
    cluster_id      text NOT NULL,
    counted_marks   text NOT NULL DEFAULT '',
    complete        boolean NOT NULL DEFAULT false,
    searched_until  timestamptz
);

-- Hours (of the group analytics) and days (of billing) that were made anew from PostgreSQL's rows, with
-- all events up to stream_marks; '' is one that has yet to be.
CREATE TABLE rebuilt_part (
    consumer_group  text NOT NULL,
    part            timestamptz NOT NULL,
    stream_marks    text NOT NULL,
    PRIMARY KEY (consumer_group, part)
);
