-- Acme pays in advance for its campaigns, and has been given something back.
INSERT INTO voucher (kind, advertiser_id, amount_nanos, reference, reason, actor) VALUES
    ('deposit', 1, 700000000000, 'bank-1', '', 'ann'), ('correction', 1, 5000000000, '', 'goodwill', 'bob');
INSERT INTO ledger_entry (transaction, account, campaign_id, amount_nanos, occurred_at, kind,
                          advertiser_id) VALUES
    ('voucher:1', 'cash', NULL, 700000000000, '2026-09-30', 'deposit', NULL),
    ('voucher:1', 'advertiser', NULL, -700000000000, '2026-09-30', 'deposit', 1),
    ('voucher:2', 'correction', NULL, 5000000000, '2026-10-02', 'correction', NULL),
    ('voucher:2', 'advertiser', NULL, -5000000000, '2026-10-02', 'correction', 1);
INSERT INTO fee_remainder VALUES (1, 250000);
