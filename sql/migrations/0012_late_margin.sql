-- What of a budget is held back for wins that come after their reservation has expired.
ALTER TABLE campaign ADD COLUMN late_margin_nanos bigint NOT NULL DEFAULT 0
    CHECK (late_margin_nanos >= 0 AND late_margin_nanos < total_budget_nanos);
