-- The most a campaign bids for 1,000 impressions; NULL: only as the configuration says.
ALTER TABLE campaign ADD COLUMN max_cpm_micros bigint CHECK (max_cpm_micros > 0);
-- How many of the candidates bid less because of it, and how much less, all together.
ALTER TABLE rollup_candidates ADD COLUMN capped bigint NOT NULL DEFAULT 0;
ALTER TABLE rollup_candidates ADD COLUMN cut_micros bigint NOT NULL DEFAULT 0;
