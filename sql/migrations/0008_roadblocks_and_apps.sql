-- A road-block takes all impressions of a page together, or none.
ALTER TABLE campaign ADD COLUMN roadblock boolean NOT NULL DEFAULT false;
-- The app that is advertised, as stores name it; empty: none.
ALTER TABLE creative ADD COLUMN app_bundle text NOT NULL DEFAULT '';
