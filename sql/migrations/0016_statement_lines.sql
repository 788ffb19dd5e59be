-- The detail of invoices: what each campaign was charged at each exchange, by the day of UTC on which
-- it was booked. The consumer group billing builds it from Kafka; it can be rebuilt from ledger_entry,
-- and is equal to it once the group has read everything.
CREATE TABLE statement_line (
    day                   date NOT NULL,
    campaign_id           integer NOT NULL,
    exchange              text NOT NULL,
    impressions           bigint NOT NULL,
    spend_nanos           bigint NOT NULL,
    late_impressions      bigint NOT NULL,
    late_spend_nanos      bigint NOT NULL,
    unpriced_impressions  bigint NOT NULL,
    unpriced_spend_nanos  bigint NOT NULL,
    PRIMARY KEY (day, campaign_id, exchange)
);
