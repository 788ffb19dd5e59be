-- Where an impression was, whose it was, what was bid for it, and what a conversion was worth.
ALTER TABLE event
    ADD COLUMN advertiser_id      integer NOT NULL DEFAULT 0,   -- 0: bids of before
    ADD COLUMN bid_cpm_micros     bigint NOT NULL DEFAULT 0,    -- 0: bids of before
    ADD COLUMN site               text NOT NULL DEFAULT '',
    ADD COLUMN country            text NOT NULL DEFAULT '',
    ADD COLUMN device             text NOT NULL DEFAULT '',
    ADD COLUMN order_id           text NOT NULL DEFAULT '',
    ADD COLUMN value_nanos        bigint,                       -- in the account's currency
    ADD COLUMN told_value_nanos   bigint,                       -- as told, where that is another
    ADD COLUMN told_currency      text NOT NULL DEFAULT '',
    ADD COLUMN attribution        text NOT NULL DEFAULT '';
-- Rebuilding some hours reads the days that can have them.
CREATE INDEX event_occurred_at ON event USING brin (occurred_at);

-- An order counts once for its advertiser, whichever bid it is counted for.
CREATE TABLE conversion_order (
    advertiser_id  integer NOT NULL,
    order_id       text NOT NULL,
    event_date     date NOT NULL,
    event_id       text NOT NULL,
    PRIMARY KEY (advertiser_id, order_id)
);

ALTER TABLE rollup_delivery
    ADD COLUMN site              text NOT NULL DEFAULT '',
    ADD COLUMN country           text NOT NULL DEFAULT '',
    ADD COLUMN device            text NOT NULL DEFAULT '',
    ADD COLUMN view_conversions  bigint NOT NULL DEFAULT 0,
    ADD COLUMN value_nanos       bigint NOT NULL DEFAULT 0,
    DROP CONSTRAINT rollup_delivery_pkey,
    ADD PRIMARY KEY (hour, campaign_id, creative_id, exchange, site, country, device);

-- Bids by what was bid: 8 buckets for every doubling of the price. adctl/delivery/landscape.py has
-- the same formula; a test holds the two together.
CREATE FUNCTION price_bucket(cpm_micros bigint) RETURNS integer LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT CASE WHEN cpm_micros < 8 THEN greatest(cpm_micros, 0)::integer
                ELSE (bits - 3) * 8 + ((cpm_micros >> (bits - 4)) & 7)::integer END
    FROM (SELECT length(ltrim(cpm_micros::bit(64)::text, '0')) AS bits) AS size
$$;

-- What auctions were won and lost at. Sums are of what exchanges told: paid of wins, min_to_win of
-- the min_to_win_told losses and wins that told it.
CREATE TABLE rollup_landscape (
    hour               timestamptz NOT NULL,
    exchange           text NOT NULL,
    country            text NOT NULL,
    device             text NOT NULL,
    price_bucket       integer NOT NULL,
    bids               bigint NOT NULL DEFAULT 0,
    wins               bigint NOT NULL DEFAULT 0,
    losses             bigint NOT NULL DEFAULT 0,
    paid_micros        bigint NOT NULL DEFAULT 0,
    min_to_win_micros  bigint NOT NULL DEFAULT 0,
    min_to_win_told    bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (hour, exchange, country, device, price_bucket)
);

-- Hours from rebuilt_since on are counted from the event table for events up to rebuilt_stream_id;
-- NULL: all hours are.
ALTER TABLE consumer_position ADD COLUMN rebuilt_since timestamptz;

-- What events come to, as the analytics consumer counts them.
CREATE FUNCTION delivery_of_events(since timestamptz, until timestamptz)
RETURNS TABLE (
    hour timestamptz, campaign_id integer, creative_id integer, exchange text, site text,
    country text, device text, wins bigint, losses bigint, impressions bigint, clicks bigint,
    conversions bigint, view_conversions bigint, spend_nanos bigint, value_nanos bigint
) LANGUAGE sql STABLE AS $$
    SELECT date_trunc('hour', occurred_at, 'UTC'), campaign_id, creative_id, exchange, site,
           country, device,
           count(*) FILTER (WHERE kind = 'win'),
           count(*) FILTER (WHERE kind = 'loss'),
           count(*) FILTER (WHERE kind = 'impression'),
           count(*) FILTER (WHERE kind = 'click'),
           count(*) FILTER (WHERE kind = 'conversion' AND attribution <> 'view'),
           count(*) FILTER (WHERE kind = 'conversion' AND attribution = 'view'),
           sum(cost_nanos)::bigint,
           coalesce(sum(value_nanos), 0)::bigint
    FROM event
    WHERE NOT test AND occurred_at >= since AND occurred_at < until
      AND (kind <> 'bill' OR cost_nanos > 0)
    GROUP BY 1, 2, 3, 4, 5, 6, 7
$$;
