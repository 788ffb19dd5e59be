-- The deals a campaign buys: [{"id": text, "bid_amount_micros": bigint or null}].
ALTER TABLE campaign ADD COLUMN deals jsonb NOT NULL DEFAULT '[]';
