INSERT INTO rejected_event (stream, stream_id, reason, raw) VALUES
    ('adctl:{s0}:events', '1790000003200-0', 'no partition', convert_to('{"event_id":"900:impression",'
     '"event_date":"2026-10-02","kind":"impression","occurred_at_ms":1790931600000,"bid_id":"900",'
     '"campaign_id":1,"creative_id":1,"exchange":"default","price_cpm_micros":2000000,'
     '"cost_nanos":2000000}', 'UTF8')),
    ('adctl:{s0}:events', '1790000003201-0', 'no partition', convert_to('{"event_id":"901:win",'
     '"event_date":"2026-10-02","kind":"win","occurred_at_ms":1790931600000,"bid_id":"901",'
     '"campaign_id":2,"creative_id":2,"exchange":"default","price_cpm_micros":0,'
     '"cost_nanos":0}', 'UTF8'));
