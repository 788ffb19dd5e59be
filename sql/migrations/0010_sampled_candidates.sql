-- What campaigns said to requests that were looked into, one in many: counted apart, never added to
-- what is counted of every request.
ALTER TABLE rollup_candidates ADD COLUMN sampled boolean NOT NULL DEFAULT false;
ALTER TABLE rollup_candidates DROP CONSTRAINT rollup_candidates_pkey;
ALTER TABLE rollup_candidates ADD PRIMARY KEY (hour, campaign_id, exchange, sampled, outcome);
