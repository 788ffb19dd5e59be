"""Events that PostgreSQL refuses, and what tests ask of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner, Result

from adctl.cli.root import app
from adctl.control.flushing import Flusher
from adctl.control.publishing import mend_budgets
from adctl.delivery.place import Place
from adctl.models import Event, EventKind
from tests.unit.misread import misread

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg
    from psycopg_pool import ConnectionPool

    from adctl.control.proving import Prover
    from adctl.control.rejected import Fate, RejectedDesk
    from adctl.stores.endpoints import Endpoints
    from tests.integration.house import House

    MakeEvent = Callable[..., Event]
    Pool = ConnectionPool[psycopg.Connection]

COST = 1_500_000
PLACE = Place("a.example", "DEU", "4")


def in_foreign_currency(
    house: House, code: str = "EUR", rate: str = "1.1111"
) -> Callable[[Event], Event]:
    """Return what makes an event one whose place was read from the bytes of its currency."""
    advertiser_id = house.campaign.advertiser_id
    return lambda event: misread(event, code, rate, advertiser_id, PLACE)


def broken(house: House, kind: EventKind = EventKind.IMPRESSION) -> str:
    """Have an event told that PostgreSQL refuses, and flush; return its name."""
    house.tell(house.bid(), kind, in_foreign_currency(house))
    house.flusher.drain(100)
    return f"0/{house.redis.xrevrange('adctl:{s0}:events', count=1)[0][0]}"


def fates(desk: RejectedDesk, *names: str) -> list[Fate]:
    chosen = desk.choose(names) if names else desk.waiting()
    return [one.fate for some in desk.retry(chosen) for one in some]


def rows(postgres: psycopg.Connection, query: str) -> list[tuple[object, ...]]:
    found = postgres.execute(query).fetchall()
    postgres.commit()
    return found


def ledger(postgres: psycopg.Connection) -> int:
    query = "SELECT coalesce(sum(amount_nanos), 0) FROM ledger_entry WHERE account = 'campaign'"
    [(nanos,)] = rows(postgres, query)
    return int(nanos)  # type: ignore[call-overload]


def not_holding(prover: Prover) -> dict[str, str | int]:
    return {breach.invariant: breach.found for breach in prover.prove().breaches}


def run(endpoints: Endpoints, *line: str) -> Result:
    env = {
        "ADCTL_POSTGRES_URL": endpoints.postgres_url,
        "ADCTL_REDIS_URL": endpoints.redis_url,
        "ADCTL_KAFKA_BOOTSTRAP": endpoints.kafka_bootstrap,
    }
    return CliRunner().invoke(app, ["rejected", *line], env=env, prog_name="adctl")


def make_anew(pool: Pool, house: House) -> None:
    with pool.connection() as conn:
        mend_budgets(conn, house.budgets, [house.campaign_id], datetime.now(UTC))


def killed_before_the_flush(desk: RejectedDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    def kill(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Flusher, "flush_once", kill)
        with pytest.raises(KeyboardInterrupt):
            fates(desk)
