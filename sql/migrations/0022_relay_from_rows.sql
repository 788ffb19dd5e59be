-- Events that Kafka has not confirmed yet: a row for each transaction of a flusher, in its order, that
-- names the events it stored. The relay makes messages of their rows in the event table, and takes the
-- row away once Kafka has them. Its stream has been read up to last_id then.
CREATE TABLE relay_batch (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream       text NOT NULL,
    last_id      text NOT NULL,
    stored_at    timestamptz NOT NULL DEFAULT now(),
    events       integer NOT NULL CHECK (events > 0),
    event_dates  date[] NOT NULL,
    event_ids    text[] NOT NULL
);
CREATE INDEX relay_batch_stream ON relay_batch (stream, id);
-- Written once and soon deleted: compressing them would take longer than writing them.
ALTER TABLE relay_batch ALTER COLUMN event_ids SET STORAGE EXTERNAL;

-- What the last version has stored and not relayed, a thousand events a row. Its rows do not say which
-- shard's stream they came through, but lie between the two positions of that one. Where they do so in
-- several streams any of these will do: it is in order there. No two of one id go to the same stream.
WITH unrelayed AS (
    SELECT postgres.stream,
           array[split_part(coalesce(kafka.last_id, '0-0'), '-', 1),
                 split_part(coalesce(kafka.last_id, '0-0'), '-', 2)]::bigint[] AS after_id,
           array[split_part(postgres.last_id, '-', 1),
                 split_part(postgres.last_id, '-', 2)]::bigint[] AS upto_id
    FROM stream_position AS postgres
    LEFT JOIN LATERAL (
        SELECT last_id FROM stream_position
        WHERE stream = postgres.stream AND reader LIKE 'kafka:%'
        ORDER BY updated_at DESC LIMIT 1
    ) AS kafka ON true
    WHERE postgres.reader = 'postgres'
), event_at AS (
    SELECT event_date, event_id, stream_id,
           array[split_part(stream_id, '-', 1), split_part(stream_id, '-', 2)]::bigint[] AS at,
           row_number() OVER (PARTITION BY stream_id ORDER BY event_id) - 1 AS of_same_id
    FROM event
    WHERE stream_id ~ '^[0-9]+-[0-9]+$'  -- those brought back from Kafka say their shard
      AND EXISTS (SELECT FROM unrelayed WHERE after_id < upto_id)
), may_be AS (
    SELECT event_date, event_id, event_at.stream_id, at, of_same_id, stream,
           row_number() OVER (PARTITION BY event_date, event_id ORDER BY stream) - 1 AS choice,
           count(*) OVER (PARTITION BY event_date, event_id) AS choices
    FROM event_at JOIN unrelayed ON at > after_id AND at <= upto_id
), numbered AS (
    SELECT *, (row_number() OVER (PARTITION BY stream ORDER BY at) - 1) / 1000 AS batch
    FROM may_be WHERE choice = of_same_id % choices
)
INSERT INTO relay_batch (stream, last_id, events, event_dates, event_ids)
SELECT stream, (array_agg(stream_id ORDER BY at DESC))[1], count(*),
       array_agg(event_date ORDER BY at), array_agg(event_id ORDER BY at)
FROM numbered
GROUP BY stream, batch
ORDER BY stream, batch;

-- With `untold` false, without the events that Kafka has not been told of yet.
DROP FUNCTION delivery_of_events(timestamptz, timestamptz);
CREATE FUNCTION delivery_of_events(since timestamptz, until timestamptz, untold boolean DEFAULT true)
RETURNS TABLE (
    hour timestamptz, campaign_id integer, creative_id integer, exchange text, site text,
    country text, device text, wins bigint, losses bigint, impressions bigint, clicks bigint,
    conversions bigint, view_conversions bigint, spend_nanos bigint, value_nanos bigint
) LANGUAGE sql STABLE AS $$
    SELECT date_trunc('hour', occurred_at, 'UTC'), campaign_id, creative_id, exchange, site,
           country, device,
           count(*) FILTER (WHERE kind = 'win'),
           count(*) FILTER (WHERE kind = 'loss'),
           count(*) FILTER (WHERE kind = 'impression'),
           count(*) FILTER (WHERE kind = 'click'),
           count(*) FILTER (WHERE kind = 'conversion' AND attribution <> 'view'),
           count(*) FILTER (WHERE kind = 'conversion' AND attribution = 'view'),
           sum(cost_nanos)::bigint,
           coalesce(sum(value_nanos), 0)::bigint
    FROM event
    WHERE NOT test AND occurred_at >= since AND occurred_at < until
      AND (kind <> 'bill' OR cost_nanos > 0)
      AND (untold OR (event_date, event_id) NOT IN (
          SELECT waiting.event_date, waiting.event_id
          FROM relay_batch, unnest(event_dates, event_ids) AS waiting (event_date, event_id)))
    GROUP BY 1, 2, 3, 4, 5, 6, 7
$$;
