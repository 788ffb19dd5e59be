"""What is done to the books of a run that held, so that its audit has to find it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import psycopg
import redis

from adctl.stores import keys
from adctl.stores.schema_version import ADDITIVE
from tests.chaos.leftovers import MIGRATED_WHOLE, PRUNED_WHOLE

if TYPE_CHECKING:
    from adctl.stores.embedded.state import StackRecord


class Plant(NamedTuple):
    """A statement of SQL, and the claim that is no longer true afterwards."""

    claim: str
    sql: str


PLANTS = (
    Plant(
        "rollup_delivery is what a rebuild makes of it",
        "UPDATE rollup_delivery SET creative_id = creative_id + 1000 WHERE ctid = "
        "(SELECT ctid FROM rollup_delivery WHERE impressions > 0 LIMIT 1)",
    ),
    Plant(
        "rollup_landscape is what a rebuild makes of it",
        "UPDATE rollup_landscape SET wins = wins - 1, losses = losses + 1 WHERE ctid = "
        "(SELECT ctid FROM rollup_landscape WHERE wins > 0 LIMIT 1)",
    ),
    Plant(
        "statement_line is what a rebuild makes of it",
        "UPDATE statement_line SET impressions = impressions + 1 WHERE ctid = "
        "(SELECT ctid FROM statement_line LIMIT 1)",
    ),
    Plant(
        "the statement lines' sum is the ledger's",
        "DELETE FROM statement_line WHERE ctid = (SELECT ctid FROM statement_line LIMIT 1)",
    ),
    Plant(
        "rollups agree with the events",
        "UPDATE rollup_delivery SET clicks = clicks + 1 WHERE ctid = "
        "(SELECT ctid FROM rollup_delivery LIMIT 1)",
    ),
    Plant(
        "the ledger balances",
        "INSERT INTO ledger_entry (transaction, account, campaign_id, amount_nanos, occurred_at) "
        "VALUES ('planted', 'exchange', 1, -1, now())",
    ),
    Plant(
        "spend equals the ledger",
        "INSERT INTO ledger_entry (transaction, account, campaign_id, amount_nanos, occurred_at) "
        "VALUES ('planted', 'campaign', 1, 1, now())",
    ),
    Plant(
        "late is what late events cost",
        "UPDATE event SET late = NOT late WHERE event_id = "
        "(SELECT event_id FROM event WHERE cost_nanos > 0 LIMIT 1)",
    ),
    Plant(
        "every impression cost what the exchange charged",
        "UPDATE event SET cost_nanos = cost_nanos + 1 WHERE event_id = "
        "(SELECT event_id FROM event WHERE cost_nanos > 0 LIMIT 1)",
    ),
    Plant(
        "no event counts twice",
        "SELECT event_partition(min(event_date) - 1) FROM event; "
        "INSERT INTO event SELECT (jsonb_populate_record(e, jsonb_build_object("
        "'event_date', (SELECT min(event_date) - 1 FROM event)))).* FROM event AS e LIMIT 1",
    ),
    Plant(
        "nothing is stored that was not sent",
        "INSERT INTO event SELECT (jsonb_populate_record(e, jsonb_build_object("
        "'event_id', 'nobody:win'))).* FROM event AS e LIMIT 1",
    ),
    Plant(
        MIGRATED_WHOLE,
        f"DROP TABLE IF EXISTS chaos_000{ADDITIVE}; "
        f"CREATE TABLE chaos_000{ADDITIVE} AS SELECT 1 AS number",
    ),
    Plant(
        PRUNED_WHOLE,
        "INSERT INTO dropped_day (day, actor, events, cost_nanos, rebuild_from) "
        "SELECT event_date, 'planted', 0, 0, '2000-01-01' FROM event LIMIT 1",
    ),
    Plant(
        "every acknowledged event is in PostgreSQL",
        "DELETE FROM event WHERE event_id = "
        "(SELECT event_id FROM event WHERE event_id <> 'nobody:win' LIMIT 1)",
    ),
)
RESERVED = "nothing stays reserved"
EQUATIONS = "both equations hold"


def plant(record: StackRecord, found: Plant) -> None:
    """Do it, past the triggers that are there to prevent it."""
    with psycopg.connect(record.postgres_url) as postgres:
        postgres.execute("SET LOCAL session_replication_role = replica")
        postgres.execute(found.sql)


def reserve_a_nano(record: StackRecord) -> None:
    """Let Redis hold a nano of the first campaign for a bid that was never made."""
    with redis.Redis.from_url(record.redis_url) as client:
        client.hincrby(keys.budget(0, 1), "reserved", 1)
