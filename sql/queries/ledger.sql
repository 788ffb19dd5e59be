-- name: balances(advertiser_ids)
-- What each advertiser has paid in less what it was charged: the sums of the ledger.
SELECT asked.id,
       -coalesce((SELECT amount_nanos FROM ledger_balance
                  WHERE account = 'advertiser' AND owner_id = asked.id), 0)
       - coalesce((SELECT sum(b.amount_nanos) FROM campaign
                   JOIN ledger_balance AS b ON b.account = 'campaign' AND b.owner_id = campaign.id
                   WHERE campaign.advertiser_id = asked.id), 0)
FROM unnest(:advertiser_ids::int[]) AS asked (id);

-- name: book_voucher(kind, advertiser_id, amount_nanos, reference, reason, actor)^
-- Nothing is booked, and nothing returned, if the advertiser has a voucher of that reference.
WITH made AS (
    INSERT INTO voucher (kind, advertiser_id, amount_nanos, reference, reason, actor)
    VALUES (:kind, :advertiser_id, :amount_nanos, :reference, :reason, :actor)
    ON CONFLICT (advertiser_id, reference) WHERE reference <> '' DO NOTHING
    RETURNING *
), booked AS (
    INSERT INTO ledger_entry (transaction, account, kind, advertiser_id, amount_nanos, occurred_at)
    SELECT 'voucher:' || id, side.account, kind, advertiser_id, side.sign * amount_nanos, booked_at
    FROM made
    CROSS JOIN (VALUES ('advertiser', -1),
                       (CASE :kind WHEN 'deposit' THEN 'cash' ELSE 'correction' END, 1)
               ) AS side (account, sign)
)
SELECT id, kind, amount_nanos, reference, reason, actor, booked_at FROM made;

-- name: voucher_of(advertiser_id, reference)^
SELECT id, kind, amount_nanos, reference, reason, actor, booked_at
FROM voucher WHERE advertiser_id = :advertiser_id AND reference = :reference;

-- name: vouchers(advertiser_id, since, until)
SELECT id, kind, amount_nanos, reference, reason, actor, booked_at
FROM voucher
WHERE advertiser_id = :advertiser_id AND booked_at >= :since AND booked_at < :until
ORDER BY booked_at, id;
