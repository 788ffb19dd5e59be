-- Each webhook's deliveries are taken apart from the others', so that none waits for another's receiver.
DROP INDEX webhook_delivery_due;
CREATE INDEX webhook_delivery_due ON webhook_delivery (webhook_id, next_attempt_at, id)
    WHERE state = 'pending';
