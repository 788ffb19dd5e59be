-- What exchanges tell of their auctions beside the price; NULL where they do not.
ALTER TABLE event
    ADD COLUMN min_to_win_micros     bigint,       -- the least bid that would have won
    ADD COLUMN market_bid_ratio_ppm  bigint,       -- the clearing price by the bid's
    ADD COLUMN shown_at              timestamptz;  -- when the ad was shown, where told later
