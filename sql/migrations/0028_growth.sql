-- Whether Redis has confirmed a change. Those that have wait for Kafka alone, and are not written to
-- Redis with every portion of them that goes there.
ALTER TABLE outbox ADD COLUMN written boolean NOT NULL DEFAULT false;
CREATE INDEX outbox_unwritten ON outbox (id) WHERE NOT written;

-- Whose events these are is asked when a user is forgotten. By hash, which costs an insert the least
-- of what finds a user at once.
CREATE INDEX event_user ON event USING hash (user_hash) WHERE user_hash <> '';

-- Invoices ask by the time of booking, a campaign's day by that of the event; what occurred on a day
-- was booked since then, whatever clocks say, but for a day at most.
DROP INDEX ledger_campaign;
CREATE INDEX ledger_campaign ON ledger_entry (campaign_id, booked_at)
    INCLUDE (occurred_at, amount_nanos) WHERE account = 'campaign';
CREATE INDEX ledger_advertiser ON ledger_entry (advertiser_id, booked_at)
    WHERE account = 'advertiser';

-- What of it was billed late, kept in the same way: it is read whenever a campaign's money is made.
ALTER TABLE ledger_balance ADD COLUMN late_nanos numeric NOT NULL DEFAULT 0;
ALTER TABLE ledger_balance DISABLE TRIGGER ledger_balance_kept;
UPDATE ledger_balance AS b SET late_nanos = l.late_nanos
FROM (SELECT campaign_id, sum(amount_nanos) AS late_nanos FROM ledger_entry
      WHERE account = 'campaign' AND late GROUP BY 1) AS l
WHERE b.account = 'campaign' AND b.owner_id = l.campaign_id;
ALTER TABLE ledger_balance ENABLE TRIGGER ledger_balance_kept;
DROP INDEX ledger_late;

CREATE OR REPLACE FUNCTION ledger_balances() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM booked GROUP BY transaction HAVING sum(amount_nanos) <> 0) THEN
        RAISE EXCEPTION 'a ledger transaction does not add up to zero';
    END IF;
    INSERT INTO ledger_balance AS b (account, owner_id, amount_nanos, late_nanos)
    SELECT account, ledger_owner(account, advertiser_id, campaign_id), sum(amount_nanos),
           coalesce(sum(amount_nanos) FILTER (WHERE late), 0)
    FROM booked GROUP BY 1, 2 ORDER BY 1, 2
    ON CONFLICT (account, owner_id)
        DO UPDATE SET amount_nanos = b.amount_nanos + excluded.amount_nanos,
                      late_nanos = b.late_nanos + excluded.late_nanos;
    RETURN NULL;
END $$;

-- As it was, but one advertiser's entries are found by indexes: those of its own account, and those
-- of its campaigns.
CREATE OR REPLACE VIEW advertiser_entry AS
SELECT l.advertiser_id, l.kind, l.campaign_id, c.name AS campaign, -l.amount_nanos AS effect_nanos,
       l.late, l.unpriced, l.booked_at
FROM ledger_entry AS l
LEFT JOIN campaign AS c ON c.id = l.campaign_id
WHERE l.account = 'advertiser'
UNION ALL
SELECT c.advertiser_id, l.kind, l.campaign_id, c.name, -l.amount_nanos, l.late, l.unpriced,
       l.booked_at
FROM campaign AS c
JOIN ledger_entry AS l ON l.campaign_id = c.id
WHERE l.account = 'campaign';
