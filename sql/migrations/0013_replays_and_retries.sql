-- What is read again (adctl consumer rewind): messages before replay_until had been counted once, and
-- count again only where they are of replay_from or later. rewinds tells a consumer at work that the
-- offset it goes on from is not its own. rebuilt_stream_id: events up to there were counted from the
-- event table, so one of them that is put back (adctl deadletter retry) counts no more.
ALTER TABLE consumer_position
    ADD COLUMN replay_until       bigint NOT NULL DEFAULT 0,
    ADD COLUMN replay_from        timestamptz,
    ADD COLUMN rewinds            integer NOT NULL DEFAULT 0,
    ADD COLUMN rebuilt_stream_id  text NOT NULL DEFAULT '';

-- Dead letters that were put back and counted, by where they came from, with the place of the message
-- that counted: another with the same origin does not.
CREATE TABLE retried_message (
    consumer_group  text NOT NULL,
    origin          text NOT NULL,
    partition       integer NOT NULL,
    "offset"        bigint NOT NULL,
    PRIMARY KEY (consumer_group, origin)
);
