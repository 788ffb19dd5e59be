-- What operators were told of campaigns, each once for its kind, percent and scope: the day in the
-- campaign's zone, or the total budget it is about. published: whether Kafka has it; the row is its own
-- outbox.
CREATE TABLE alarm (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind            text NOT NULL,
    campaign_id     integer NOT NULL REFERENCES campaign,
    percent         integer NOT NULL,
    scope           text NOT NULL,
    raised_at       timestamptz NOT NULL,
    budget_nanos    bigint NOT NULL,
    spent_nanos     bigint NOT NULL,
    expected_nanos  bigint NOT NULL DEFAULT 0,
    published       boolean NOT NULL DEFAULT false,
    UNIQUE (campaign_id, kind, percent, scope)
);
CREATE INDEX alarm_waiting ON alarm (id) WHERE NOT published;
CREATE INDEX alarm_raised_at ON alarm (raised_at);

-- Whom to tell. event_types '{}' is all of them, advertiser_id null everybody's. The secret signs what is
-- sent; it has to be kept as it is.
CREATE TABLE webhook (
    id              integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    url             text NOT NULL,
    event_types     text[] NOT NULL DEFAULT '{}',
    advertiser_id   integer REFERENCES advertiser,
    secret          text NOT NULL,
    status          text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'paused', 'deleted')),
    paused_because  text NOT NULL DEFAULT '',
    created_at      timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE audit DROP CONSTRAINT audit_entity_check,
    ADD CONSTRAINT audit_entity_check CHECK (
        entity IN ('advertiser', 'campaign', 'creative', 'webhook'));

-- What is to be sent to whom, made by the consumer group notify in the transaction of its offsets. While
-- one is being sent next_attempt_at is a while ahead: if the sender dies, another takes it then.
CREATE TABLE webhook_delivery (
    id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    webhook_id        integer NOT NULL REFERENCES webhook,
    event_id          text NOT NULL,
    event_type        text NOT NULL,
    body              text NOT NULL,
    created_at        timestamptz NOT NULL DEFAULT now(),
    state             text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'failed')),
    attempts          integer NOT NULL DEFAULT 0,
    first_attempt_at  timestamptz,
    next_attempt_at   timestamptz NOT NULL DEFAULT now(),
    finished_at       timestamptz,
    answer            text NOT NULL DEFAULT '',
    UNIQUE (webhook_id, event_id)
);
CREATE INDEX webhook_delivery_due ON webhook_delivery (next_attempt_at) WHERE state = 'pending';
CREATE INDEX webhook_delivery_finished ON webhook_delivery (finished_at) WHERE state <> 'pending';
