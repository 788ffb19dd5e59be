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

DO $$
DECLARE
    entry record;
    told text;
BEGIN
    FOR entry IN SELECT stream, stream_id, raw FROM rejected_event LOOP
        BEGIN
            told := convert_from(entry.raw, 'UTF8');
            -- As jsonb, and read by its operators, a text must not have NUL characters. Quotes within a
            -- text are escaped, so no text can hold what is looked for here.
            CONTINUE WHEN json_typeof(told::json) <> 'object';
            UPDATE rejected_event
            SET event_date = substring(told FROM '"event_date":"(\d{4}-\d{2}-\d{2})"')::date,
                event_id = substring(told FROM '"event_id":"([^"\\]*)"'),
                kind = substring(told FROM '"kind":"([a-z]+)"'),
                campaign_id = substring(told FROM '"campaign_id":(\d{1,18})[,}]')::bigint,
                cost_nanos = CASE WHEN told ~ '"test":true' OR told !~ '"cost_nanos":' THEN 0
                    ELSE substring(told FROM '"cost_nanos":(\d{1,18})[,}]')::bigint END,
                occurred_at = to_timestamp(
                    substring(told FROM '"occurred_at_ms":(\d{1,14})[,}]')::numeric / 1000)
            WHERE stream = entry.stream AND stream_id = entry.stream_id;
        EXCEPTION WHEN OTHERS THEN
            NULL;  -- It is no JSON, or has a date that is none.
        END;
    END LOOP;
END $$;

-- Alarms that are about no campaign, or about none that can be read. events: how many are meant.
ALTER TABLE alarm
    ALTER COLUMN campaign_id DROP NOT NULL,
    DROP CONSTRAINT alarm_campaign_id_kind_percent_scope_key,
    ADD CONSTRAINT alarm_once UNIQUE NULLS NOT DISTINCT (campaign_id, kind, percent, scope),
    ADD COLUMN events integer NOT NULL DEFAULT 0;
