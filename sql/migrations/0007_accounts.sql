-- Whose money it is: advertisers' balances, fees, and what people book by hand.
--
-- Amounts are signed as in every ledger, debits positive. Accounts:
--   cash        what advertisers have paid in
--   advertiser  an advertiser's own: deposits and credits negative, fees and charges positive
--   campaign    what a campaign spent, positive; belongs to its advertiser
--   exchange    what exchanges are owed, negative
--   fee         what we have earned, negative
--   correction  the other side of corrections
-- An advertiser's balance is the sum of its account and of its campaigns', with the sign turned.

ALTER TABLE advertiser
    ADD COLUMN fee_ppm  integer NOT NULL DEFAULT 0 CHECK (fee_ppm BETWEEN 0 AND 1000000),
    ADD COLUMN prepaid  boolean NOT NULL DEFAULT false,
    -- Kept by the pacer: false stops the campaigns of a prepaid advertiser.
    ADD COLUMN funded   boolean NOT NULL DEFAULT true;

-- Entries of before are spend, and stay as they are. late and unpriced tell of the event.
ALTER TABLE ledger_entry
    ALTER COLUMN campaign_id DROP NOT NULL,
    ADD COLUMN kind           text NOT NULL DEFAULT 'spend'
        CHECK (kind IN ('spend', 'fee', 'deposit', 'correction')),
    ADD COLUMN advertiser_id  integer,
    ADD COLUMN exchange       text NOT NULL DEFAULT '',
    ADD COLUMN late           boolean NOT NULL DEFAULT false,
    ADD COLUMN unpriced       boolean NOT NULL DEFAULT false,
    DROP CONSTRAINT ledger_entry_account_check,
    ADD CONSTRAINT ledger_entry_account_check CHECK (
        account IN ('cash', 'advertiser', 'campaign', 'exchange', 'fee', 'correction')),
    ADD CONSTRAINT ledger_entry_owner_check CHECK (
        CASE account
            WHEN 'advertiser' THEN advertiser_id IS NOT NULL
            WHEN 'campaign' THEN campaign_id IS NOT NULL AND kind = 'spend'
            ELSE true
        END);
-- Statements ask for months; entries lie in the order they were booked.
CREATE INDEX ledger_booked_at ON ledger_entry USING brin (booked_at) WITH (pages_per_range = 32);

-- What moved advertisers' balances, and by how much: the entries of their own and their campaigns'
-- accounts, with the sign turned.
CREATE VIEW advertiser_entry AS
SELECT coalesce(l.advertiser_id, c.advertiser_id) AS advertiser_id, l.kind, l.campaign_id,
       c.name AS campaign, -l.amount_nanos AS effect_nanos, l.late, l.unpriced, l.booked_at
FROM ledger_entry AS l
LEFT JOIN campaign AS c ON c.id = l.campaign_id
WHERE l.account IN ('advertiser', 'campaign');

-- What a person booked. Its transaction in the ledger is 'voucher:' and the id. A positive amount
-- adds to the advertiser's balance.
CREATE TABLE voucher (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind           text NOT NULL CHECK (kind IN ('deposit', 'correction')),
    advertiser_id  integer NOT NULL REFERENCES advertiser,
    amount_nanos   bigint NOT NULL CHECK (amount_nanos <> 0),
    reference      text NOT NULL DEFAULT '',
    reason         text NOT NULL DEFAULT '',
    actor          text NOT NULL CHECK (actor <> ''),
    booked_at      timestamptz NOT NULL DEFAULT now(),
    CHECK (kind <> 'deposit' OR (amount_nanos > 0 AND reference <> '')),
    CHECK (kind <> 'correction' OR reason <> '')
);
CREATE UNIQUE INDEX voucher_reference ON voucher (advertiser_id, reference) WHERE reference <> '';
CREATE TRIGGER voucher_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON voucher
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_append_only();

-- What is owed of a fee beyond the whole nanos that are booked: millionths of a nano.
CREATE TABLE fee_remainder (
    advertiser_id  integer PRIMARY KEY REFERENCES advertiser,
    nano_ppm       integer NOT NULL CHECK (nano_ppm BETWEEN 0 AND 999999)
);

-- How much of its budget a prepaid advertiser's campaign may spend, given by the pacer: all of them
-- together never more than the advertiser has paid in. No row is 0.
CREATE TABLE budget_grant (
    campaign_id    integer PRIMARY KEY REFERENCES campaign,
    granted_nanos  bigint NOT NULL CHECK (granted_nanos >= 0)
);

-- The sums of the ledger, kept by its trigger in the transaction of the entries. owner_id is the
-- campaign's or the advertiser's; 0 for the accounts that are nobody's.
CREATE TABLE ledger_balance (
    account       text NOT NULL,
    owner_id      integer NOT NULL,
    amount_nanos  numeric NOT NULL,
    PRIMARY KEY (account, owner_id)
) WITH (fillfactor = 50);

CREATE FUNCTION ledger_owner(account text, advertiser_id integer, campaign_id integer)
RETURNS integer LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE account WHEN 'advertiser' THEN advertiser_id
                        WHEN 'campaign' THEN campaign_id ELSE 0 END
$$;

INSERT INTO ledger_balance
SELECT account, ledger_owner(account, advertiser_id, campaign_id), sum(amount_nanos)
FROM ledger_entry GROUP BY 1, 2;

-- A statement's entries balance, so what has been committed always does. Once for each statement,
-- not for each row: the flusher books hundreds at a time.
CREATE OR REPLACE FUNCTION ledger_balances() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM booked GROUP BY transaction HAVING sum(amount_nanos) <> 0) THEN
        RAISE EXCEPTION 'a ledger transaction does not add up to zero';
    END IF;
    INSERT INTO ledger_balance AS b
    SELECT account, ledger_owner(account, advertiser_id, campaign_id), sum(amount_nanos)
    FROM booked GROUP BY 1, 2 ORDER BY 1, 2
    ON CONFLICT (account, owner_id)
        DO UPDATE SET amount_nanos = b.amount_nanos + excluded.amount_nanos;
    RETURN NULL;
END $$;

CREATE FUNCTION ledger_balance_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'balances are sums of the ledger: book a correction instead';
END $$;
CREATE TRIGGER ledger_balance_kept BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON ledger_balance
    FOR EACH STATEMENT WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION ledger_balance_is_kept();
