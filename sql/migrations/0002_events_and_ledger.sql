-- Events, the money they moved, and how far each reader has come.

-- One partition a day, made by event_partition(). event_date comes from the signed bid, so that a
-- repeat of an event always meets the partition that holds the first.
CREATE TABLE event (
    event_date        date NOT NULL,
    event_id          text NOT NULL,
    kind              text NOT NULL,
    occurred_at       timestamptz NOT NULL,
    bid_id            text NOT NULL,
    campaign_id       integer NOT NULL,
    creative_id       integer NOT NULL,
    exchange          text NOT NULL,
    price_cpm_micros  bigint NOT NULL,
    cost_nanos        bigint NOT NULL CHECK (cost_nanos >= 0),
    unpriced          boolean NOT NULL,
    late              boolean NOT NULL,
    test              boolean NOT NULL,
    loss_reason       integer NOT NULL,
    user_hash         text NOT NULL,
    stream_id         text NOT NULL,  -- its place in the Redis stream it came through
    PRIMARY KEY (event_date, event_id)
) PARTITION BY RANGE (event_date);
CREATE INDEX event_campaign ON event (campaign_id, occurred_at);

CREATE FUNCTION event_partition(day date) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format(
        'CREATE TABLE IF NOT EXISTS event_%s PARTITION OF event FOR VALUES FROM (%L) TO (%L)',
        to_char(day, 'YYYYMMDD'), day, day + 1);
END $$;

-- Double entry: every transaction's entries add up to zero, and none is ever changed.
-- Accounts: 'campaign' (what a campaign spent, positive), 'exchange' (what an exchange is owed,
-- negative). The transaction of an event is its event id.
CREATE TABLE ledger_entry (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    transaction   text NOT NULL,
    account       text NOT NULL CHECK (account IN ('campaign', 'exchange')),
    campaign_id   integer NOT NULL,
    amount_nanos  bigint NOT NULL CHECK (amount_nanos <> 0),
    occurred_at   timestamptz NOT NULL,
    booked_at     timestamptz NOT NULL DEFAULT now(),
    UNIQUE (transaction, account)
);
CREATE INDEX ledger_campaign ON ledger_entry (campaign_id, occurred_at)
    INCLUDE (amount_nanos) WHERE account = 'campaign';

CREATE FUNCTION ledger_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is append-only: book a correction instead';
END $$;
CREATE TRIGGER ledger_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entry
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_append_only();

CREATE FUNCTION ledger_balances() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM booked GROUP BY transaction HAVING sum(amount_nanos) <> 0) THEN
        RAISE EXCEPTION 'a ledger transaction does not add up to zero';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER ledger_balanced AFTER INSERT ON ledger_entry
    REFERENCING NEW TABLE AS booked FOR EACH STATEMENT EXECUTE FUNCTION ledger_balances();

-- How far a stream is written here ('postgres') and relayed on ('kafka:' and the cluster's id).
-- Moves in the transaction of the rows it speaks of.
CREATE TABLE stream_position (
    stream      text NOT NULL,
    reader      text NOT NULL,
    last_id     text NOT NULL,
    updated_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (stream, reader)
);
