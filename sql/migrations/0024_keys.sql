-- Signing keys by id and fingerprint, never the keys themselves. created_at is when one was made, or
-- first seen; "added" says it was made by `adctl key add`, so that all it has signed is known here. The
-- pacer keeps last_signed_at, and pixel_used_at: when an advertiser's key of the older way, which was
-- signed with it, was last used.
CREATE TABLE signing_key (
    id              smallint NOT NULL CHECK (id BETWEEN 1 AND 255),
    fingerprint     text NOT NULL,
    added           boolean NOT NULL DEFAULT false,
    created_at      timestamptz NOT NULL DEFAULT now(),
    signs_since     timestamptz,
    last_signed_at  timestamptz,
    pixel_used_at   timestamptz,
    retired_at      timestamptz,
    PRIMARY KEY (id, fingerprint)
);

-- Advertisers' pixel keys. One without rows has number 1, which signs since it was made. signed_until is
-- when another took its place, null of the one that signs and of those that never did.
CREATE TABLE advertiser_key (
    advertiser_id  integer NOT NULL REFERENCES advertiser,
    number         smallint NOT NULL CHECK (number > 0),
    created_at     timestamptz NOT NULL,
    signs_since    timestamptz,
    signed_until   timestamptz,
    used_at        timestamptz,
    retired_at     timestamptz,
    PRIMARY KEY (advertiser_id, number)
);
CREATE UNIQUE INDEX advertiser_key_signs ON advertiser_key (advertiser_id)
    WHERE signs_since IS NOT NULL AND signed_until IS NULL;
CREATE INDEX advertiser_key_retired ON advertiser_key (advertiser_id, number)
    WHERE retired_at IS NOT NULL;

ALTER TABLE audit DROP CONSTRAINT audit_entity_check,
    ADD CONSTRAINT audit_entity_check CHECK (
        entity IN ('advertiser', 'campaign', 'creative', 'webhook', 'key'));
