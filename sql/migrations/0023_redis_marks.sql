-- What is known of the Redis that holds the money, by shard: the server that was found right last,
-- the mark that it had then, and how often one was found to be from the past. Its money is made a
-- moment after began_at, when trackers have brought it what it had forgotten.
CREATE TABLE redis_mark (
    shard       integer PRIMARY KEY,
    run_id      text NOT NULL,
    mark        bigint NOT NULL,
    generation  bigint NOT NULL,
    began_at    timestamptz NOT NULL DEFAULT now(),
    made        boolean NOT NULL DEFAULT false
);

-- Campaigns of which an event came through the stream again with a cost, though it was stored: Redis
-- had forgotten it and counted it twice. Their money is to be made anew.
CREATE TABLE recounted_campaign (
    campaign_id  integer PRIMARY KEY
);

-- What was billed late is read whenever a campaign's money is made anew.
CREATE INDEX ledger_late ON ledger_entry (campaign_id) INCLUDE (amount_nanos)
    WHERE account = 'campaign' AND late;
