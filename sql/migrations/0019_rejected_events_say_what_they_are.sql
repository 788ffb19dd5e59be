-- What a refused entry of the stream says of itself: whose money waits there, and how much. What cannot
-- be read is null; so is cost_nanos where it cannot be known. late and odd are the tracking script's
-- words for it, null in rows of before, which did not keep them.
ALTER TABLE rejected_event
    ADD COLUMN late boolean,
    ADD COLUMN odd text,
    ADD COLUMN event_date date,
    ADD COLUMN event_id text,
    ADD COLUMN kind text,
    ADD COLUMN campaign_id bigint,
    ADD COLUMN cost_nanos bigint,
    ADD COLUMN occurred_at timestamptz;
CREATE INDEX rejected_event_cost ON rejected_event (campaign_id) WHERE cost_nanos > 0;
CREATE INDEX rejected_event_event ON rejected_event (event_id);

-- What an entry says. Read as text: as jsonb, or by operators of json, it must not have NUL characters.
-- Quotes within a text are escaped, so no text can hold a name with its quotes.
CREATE FUNCTION rejected_event_says(
    raw bytea, odd text, OUT event_date date, OUT event_id text, OUT kind text, OUT campaign_id bigint,
    OUT cost_nanos bigint, OUT occurred_at timestamptz
) LANGUAGE plpgsql AS $$
DECLARE
    told text;
BEGIN
    told := convert_from(raw, 'UTF8');
    IF json_typeof(told::json) <> 'object' THEN RETURN; END IF;
    event_id := substring(told FROM '"event_id"\s*:\s*"([^"\\]*)"');
    kind := substring(told FROM '"kind"\s*:\s*"([a-z]+)"');
    campaign_id := substring(told FROM '"campaign_id"\s*:\s*(\d{1,18})\s*[,}]')::bigint;
    cost_nanos := CASE
        WHEN odd = 'rebilled' OR told ~ '"test"\s*:\s*true' OR told !~ '"cost_nanos"\s*:' THEN 0
        ELSE substring(told FROM '"cost_nanos"\s*:\s*(\d{1,18})\s*[,}]')::bigint END;
    occurred_at := to_timestamp(
        substring(told FROM '"occurred_at_ms"\s*:\s*(\d{1,14})\s*[,}]')::numeric / 1000);
    event_date := substring(told FROM '"event_date"\s*:\s*"(\d{4}-\d{2}-\d{2})"')::date;
EXCEPTION WHEN OTHERS THEN
    NULL;  -- It is no JSON, or its date is none; or too deep, and must not keep the flusher either.
END $$;

-- By a trigger, so that entries say so which a flusher of the version before puts here.
CREATE FUNCTION rejected_event_is_read() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT * INTO NEW.event_date, NEW.event_id, NEW.kind, NEW.campaign_id, NEW.cost_nanos,
                  NEW.occurred_at
    FROM rejected_event_says(NEW.raw, NEW.odd);
    RETURN NEW;
END $$;
CREATE TRIGGER rejected_event_is_read BEFORE INSERT ON rejected_event
    FOR EACH ROW EXECUTE FUNCTION rejected_event_is_read();

UPDATE rejected_event
SET (event_date, event_id, kind, campaign_id, cost_nanos, occurred_at)
    = (SELECT * FROM rejected_event_says(raw, odd));

-- Alarms that are about no campaign, or about none that can be read. events: how many are meant.
ALTER TABLE alarm
    ALTER COLUMN campaign_id DROP NOT NULL,
    DROP CONSTRAINT alarm_campaign_id_kind_percent_scope_key,
    ADD CONSTRAINT alarm_once UNIQUE NULLS NOT DISTINCT (campaign_id, kind, percent, scope),
    ADD COLUMN events integer NOT NULL DEFAULT 0;
