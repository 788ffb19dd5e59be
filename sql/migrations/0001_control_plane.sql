-- Advertisers, campaigns and creatives; who changed what; what still has to be announced.
-- Amounts are nanos, prices micros of the account currency.

CREATE TABLE advertiser (
    id          integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text NOT NULL UNIQUE CHECK (name <> ''),
    status      text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'paused', 'archived')),
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE campaign (
    id                  integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    advertiser_id       integer NOT NULL REFERENCES advertiser,
    name                text NOT NULL CHECK (name <> ''),
    status              text NOT NULL CHECK (status IN ('active', 'paused', 'archived')),
    bid_strategy        text NOT NULL CHECK (bid_strategy IN ('cpm', 'cpc', 'cpa')),
    bid_amount_micros   bigint NOT NULL CHECK (bid_amount_micros > 0),
    daily_budget_nanos  bigint NOT NULL CHECK (daily_budget_nanos > 0),
    total_budget_nanos  bigint NOT NULL CHECK (total_budget_nanos > 0),
    starts_at           timestamptz NOT NULL,
    ends_at             timestamptz,
    timezone            text NOT NULL,
    pacing              text NOT NULL CHECK (pacing IN ('even', 'asap')),
    targeting           jsonb NOT NULL DEFAULT '{}',
    caps                jsonb NOT NULL DEFAULT '[]',
    unidentified        text NOT NULL DEFAULT 'no_bid' CHECK (unidentified IN ('no_bid', 'skip_cap')),
    version             integer NOT NULL DEFAULT 1,
    created_at          timestamptz NOT NULL DEFAULT now(),
    updated_at          timestamptz NOT NULL DEFAULT now(),
    UNIQUE (advertiser_id, name),
    CHECK (daily_budget_nanos <= total_budget_nanos),
    CHECK (ends_at > starts_at)
);
CREATE INDEX campaign_active ON campaign (id) WHERE status = 'active';

CREATE TABLE creative (
    id           integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    campaign_id  integer NOT NULL REFERENCES campaign,
    name         text NOT NULL CHECK (name <> ''),
    kind         text NOT NULL CHECK (kind IN ('banner', 'video', 'audio', 'native')),
    status       text NOT NULL CHECK (status IN ('active', 'paused', 'archived')),
    landing_url  text NOT NULL,
    adomain      jsonb NOT NULL,
    width        integer NOT NULL DEFAULT 0,
    height       integer NOT NULL DEFAULT 0,
    image_url    text NOT NULL DEFAULT '',
    markup       text NOT NULL DEFAULT '',
    cat          jsonb NOT NULL DEFAULT '[]',
    cattax       integer NOT NULL DEFAULT 1,
    attr         jsonb NOT NULL DEFAULT '[]',
    banner_type  integer NOT NULL DEFAULT 2,
    language     text NOT NULL DEFAULT '',
    media        jsonb NOT NULL DEFAULT '{}',
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    UNIQUE (campaign_id, name)
);
CREATE INDEX creative_campaign ON creative (campaign_id);

-- One row per accepted change, written in the change's own transaction.
CREATE TABLE audit (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT now(),
    actor      text NOT NULL,
    entity     text NOT NULL CHECK (entity IN ('advertiser', 'campaign', 'creative')),
    entity_id  integer NOT NULL,
    action     text NOT NULL,
    before     jsonb,
    after      jsonb
);
CREATE INDEX audit_entity ON audit (entity, entity_id, id);

-- Changes to write through to Redis and publish to Kafka; deleted once both have confirmed.
-- Written in the change's own transaction, so a crash in between loses nothing.
CREATE TABLE outbox (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    campaign_id  integer NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    message      jsonb NOT NULL
);
