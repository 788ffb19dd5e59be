-- What says who did what cannot be changed afterwards, by whoever has the database's password: as
-- the ledger. A backup is restored as ever: its rows come before its triggers.
CREATE FUNCTION table_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: what was written stays written', TG_TABLE_NAME;
END $$;

CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION table_is_append_only();
CREATE TRIGGER dropped_day_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON dropped_day
    FOR EACH STATEMENT EXECUTE FUNCTION table_is_append_only();

-- A receipt is filled in when all is forgotten; whom it is for, and since when, stays.
CREATE TRIGGER erasure_append_only
    BEFORE UPDATE OF id, subject, erased_at, actor OR DELETE OR TRUNCATE ON erasure
    FOR EACH STATEMENT EXECUTE FUNCTION table_is_append_only();
