-- Alarms of an exchange's prices are about no campaign; scope then has the exchange and the minute.
ALTER TABLE alarm ADD COLUMN exchange text NOT NULL DEFAULT '';
