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
