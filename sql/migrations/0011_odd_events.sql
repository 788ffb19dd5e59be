-- What was odd about an event that was taken all the same: billed late, after its loss was told, at
-- more than was bid. adctl/delivery/oddities.py has the words.
ALTER TABLE event ADD COLUMN odd text NOT NULL DEFAULT '';
CREATE INDEX event_odd ON event (occurred_at) WHERE odd <> '';
