INSERT INTO statement_line
SELECT (occurred_at AT TIME ZONE 'UTC')::date, campaign_id, exchange, count(*), sum(cost_nanos),
       count(*) FILTER (WHERE late), coalesce(sum(cost_nanos) FILTER (WHERE late), 0),
       count(*) FILTER (WHERE unpriced), coalesce(sum(cost_nanos) FILTER (WHERE unpriced), 0)
FROM event WHERE cost_nanos > 0 GROUP BY 1, 2, 3;
