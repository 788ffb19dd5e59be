-- name: requests(since, until)
-- Requests by outcome, those that got a bid (reason '') first.
SELECT reason, sum(requests)::bigint AS requests
FROM rollup_requests
WHERE hour >= :since AND hour < :until
GROUP BY reason
ORDER BY reason <> '', requests DESC, reason;
