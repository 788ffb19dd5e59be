-- How campaigns fared as candidates for impressions: as good as the decision log, which may drop
-- under pressure. outcome 'won', or why not.
CREATE TABLE rollup_candidates (
    hour         timestamptz NOT NULL,
    campaign_id  integer NOT NULL,
    exchange     text NOT NULL,
    outcome      text NOT NULL,
    candidates   bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (hour, campaign_id, exchange, outcome)
);
