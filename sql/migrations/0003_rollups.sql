-- What the analytics consumer builds from Kafka. rollup_delivery can be rebuilt from event;
-- rollup_requests is as good as the decision log, which may drop under pressure.

CREATE TABLE rollup_delivery (
    hour         timestamptz NOT NULL,
    campaign_id  integer NOT NULL,
    creative_id  integer NOT NULL,
    exchange     text NOT NULL,
    bids         bigint NOT NULL DEFAULT 0,
    wins         bigint NOT NULL DEFAULT 0,
    losses       bigint NOT NULL DEFAULT 0,
    impressions  bigint NOT NULL DEFAULT 0,
    clicks       bigint NOT NULL DEFAULT 0,
    conversions  bigint NOT NULL DEFAULT 0,
    spend_nanos  bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (hour, campaign_id, creative_id, exchange)
);

-- reason '' counts the requests that got a bid; every other reason is a no-bid.
CREATE TABLE rollup_requests (
    hour      timestamptz NOT NULL,
    exchange  text NOT NULL,
    reason    text NOT NULL,
    requests  bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (hour, exchange, reason)
);

-- Where a consumer group goes on reading, kept with its results. next_offset names the next
-- message. last_stream_id is the newest Redis stream id applied: a relay that repeats itself
-- after a crash sends ids that are not newer, and they are skipped.
CREATE TABLE consumer_position (
    cluster_id      text NOT NULL,
    consumer_group  text NOT NULL,
    topic           text NOT NULL,
    partition       integer NOT NULL,
    next_offset     bigint NOT NULL,
    last_stream_id  text NOT NULL DEFAULT '',
    PRIMARY KEY (cluster_id, consumer_group, topic, partition)
);
