-- Whether Redis has confirmed a change. Those that have wait for Kafka alone, and are not written to
-- Redis with every portion of them that goes there.
ALTER TABLE outbox ADD COLUMN written boolean NOT NULL DEFAULT false;
CREATE INDEX outbox_unwritten ON outbox (id) WHERE NOT written;
