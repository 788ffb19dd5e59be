"""What must hold at the end of a run, beside what every demo checks."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

import psycopg
import redis

from adctl.demo.summary import Check
from adctl.stores.budgets import Budgets, BudgetState
from tests.chaos.rebuilt import rebuilt_checks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from adctl.stores.embedded.state import StackRecord
    from tests.chaos.leftovers import Leftovers

_SETTLED_WITHIN_SEC = 30.0


class Audit(NamedTuple):
    """Every check, what all late wins cost together, and what made anew was found over."""

    checks: tuple[Check, ...]
    late_nanos: int
    cut_nanos: int


def audit(
    record: StackRecord,
    environment: Mapping[str, str] | None,
    tend: Callable[[], None],
    leftovers: Leftovers,
    within_sec: float = _SETTLED_WITHIN_SEC,
) -> Audit:
    """Return every check of a run that has drained; the one place where they are called.

    ``tend`` keeps the processes going meanwhile. Nothing else is done for them: what was reserved
    has to expire by itself, ``within_sec``. With an ``environment``, `adctl budget prove` is run in
    it too.
    """
    with (
        psycopg.connect(record.postgres_url, autocommit=True) as postgres,
        redis.Redis.from_url(record.redis_url, decode_responses=True) as client,
    ):
        names = dict(postgres.execute("SELECT id, name FROM campaign ORDER BY id").fetchall())
        money = _when_nothing_is_reserved(Budgets(client), names, tend, within_sec)
        of_events = _sums(postgres, "SELECT campaign_id, sum(cost_nanos) FROM event GROUP BY 1")
        of_ledger = _sums(
            postgres,
            "SELECT campaign_id, sum(amount_nanos) FROM ledger_entry "
            "WHERE account = 'campaign' GROUP BY 1",
        )
        unbalanced = postgres.execute(
            "SELECT count(*) FROM (SELECT FROM ledger_entry GROUP BY transaction "
            "HAVING sum(amount_nanos) <> 0) AS t"
        ).fetchone()
        late_events = _sums(
            postgres, "SELECT campaign_id, sum(cost_nanos) FROM event WHERE late GROUP BY 1"
        )
    checks = (
        _nobody("every campaign has its money in Redis", names, lambda n: n not in money),
        _nobody("both equations hold", names, lambda n: not money[n].adds_up),
        _nobody("nothing stays reserved", names, lambda n: money[n].reserved != 0),
        _nobody(
            "Redis, the ledger and the events agree on what each campaign spent",
            names,
            lambda n: not money[n].spent == of_ledger.get(n, 0) == of_events.get(n, 0),
        ),
        _nobody(
            "late is what late events cost", names, lambda n: money[n].late != late_events.get(n, 0)
        ),
        _nobody(
            "no campaign overspent but by late wins",
            names,
            # Not by a cut: no budget is lowered here, and money that is made anew is over only
            # for as long as it holds what bids had reserved that have ended since.
            lambda n: money[n].spent > money[n].budget + money[n].late,
        ),
        Check("the ledger balances", unbalanced == (0,), f"{unbalanced} transactions"),
        *((_proven(environment),) if environment else ()),
        *rebuilt_checks(record.postgres_url, tend, within_sec),
        *leftovers.checks(),
    )
    late_nanos = sum(state.late for state in money.values())
    return Audit(checks, late_nanos, sum(state.cut for state in money.values()))


def _when_nothing_is_reserved(
    budgets: Budgets, names: Mapping[int, str], tend: Callable[[], None], within_sec: float
) -> dict[int, BudgetState]:
    """Return the campaigns' money once all reservations have expired, or when time is up."""
    deadline = time.monotonic() + within_sec
    while True:
        money = budgets.read(names)
        if time.monotonic() > deadline or not any(state.reserved for state in money.values()):
            return money
        tend()
        time.sleep(0.2)


def _sums(postgres: psycopg.Connection, query: str) -> dict[int, int]:
    return {campaign_id: int(nanos) for campaign_id, nanos in postgres.execute(query)}


def _nobody(claim: str, names: Mapping[int, str], astray: Callable[[int], bool]) -> Check:
    found = [name for number, name in names.items() if astray(number)]
    return Check(claim, not found, ", ".join(found) or "all campaigns")


def _proven(environment: Mapping[str, str]) -> Check:
    """Return what ``adctl budget prove`` says."""
    proof = subprocess.run(
        [sys.executable, "-m", "adctl", "budget", "prove"],
        env=dict(environment),
        capture_output=True,
        text=True,
        check=False,
    )
    said = f"{proof.stdout}\n{proof.stderr}".strip()
    return Check("adctl budget prove finds nothing", proof.returncode == 0, said)
