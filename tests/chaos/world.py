"""One run: a product of its own whose daemons reach their stores through faulty proxies."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from adctl.config import load_settings
from adctl.control.daemon_process import START_ORDER
from adctl.demo.books import Books
from adctl.demo.plan import Plan
from adctl.demo.run import DemoRun, Phase, Snapshot, demo_environment
from adctl.demo.summary import Check, Summary, summarise
from adctl.stores.embedded.ports import free_port, release
from adctl.stores.embedded.state import ServerRecord, StackRecord, save_record
from adctl.stores.endpoints import stack_folder
from adctl.stores.postgres import open_pool
from adctl.stores.redis import connect
from adctl.stores.sharded_budgets import open_budgets
from tests.apache_kafka.broker import apache_kafka
from tests.chaos.apache import ApacheSupervisor
from tests.chaos.audit import audit
from tests.chaos.commands import DoomedCommands
from tests.chaos.faults import Faults, Tools
from tests.chaos.leftovers import Leftovers
from tests.chaos.market import DEAREST_NANOS, DRY, SAMPLES, ContraryExchange, beside
from tests.chaos.moments import EVERY_GROUP, PlannedFault, plan_faults, twice
from tests.chaos.past import Past
from tests.chaos.proxy import FaultyProxy
from tests.chaos.stored import StoredImpressions
from tests.chaos.supervisor import ChaosSupervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Recheck = Callable[[], list[str]]

_LOOPBACK = "127.0.0.1"
# Short, so that reservations expire and wins come late while there is traffic.
_ENVIRONMENT = {
    "ADCTL_MONEY_RESERVATION_TTL_SEC": "4",
    "ADCTL_MONEY_RESERVATION_BUCKET_SEC": "1",
    "ADCTL_BIDDER_WORKERS": "2",
    "ADCTL_TRACKER_WORKERS": "2",
}


class Trial(NamedTuple):
    """What is to be tried: so much traffic, and on average one fault in so many seconds."""

    seed: int
    for_sec: int
    each_sec: float = 2.0
    rate: int = 100
    kafka: str = "embedded"
    moments: tuple[str, ...] = EVERY_GROUP

    @property
    def options(self) -> str:
        """What to tell the command to have the same tried again."""
        return (
            f"--seed {self.seed} --for {self.for_sec} --each {self.each_sec} --kafka {self.kafka} "
            f"--moments {','.join(self.moments)}"
        )


class Outcome(NamedTuple):
    """What a run did, what was done to it, and every claim that was checked at its end."""

    trial: Trial
    summary: Summary
    faults: tuple[str, ...]
    checks: tuple[Check, ...]
    late_nanos: int
    cut_nanos: int
    drained_sec: float
    left_out: int
    story: tuple[str, ...]
    silences: tuple[tuple[float, float], ...]
    bids_again_sec: tuple[float, ...]

    @property
    def failed(self) -> list[str]:
        """The claims that do not hold, and what was found instead."""
        return [f"{check.claim}: {check.found}" for check in self.checks if not check.holds]

    def explained(self) -> str:
        """Return what failed, what was done, and how to do it again."""
        return "\n".join(
            (
                *(f"  not so: {claim}" for claim in self.failed),
                *(f"  complaint: {complaint}" for complaint in self.summary.complaints),
                *(f"  {fault}" for fault in self.faults),
                *(f"  {line}" for line in self.story),
                f"  repeat with: .venv/bin/python -m tests.chaos {self.trial.options}",
            )
        )


class Follower:
    """Follows a run: carries out its faults, sees money run out, times how long it drains."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._draining_since: float | None = None
        self._dry: set[str] = set()

    def tick(self, snapshot: Snapshot) -> None:
        """Be told how the run stands."""
        if snapshot.phase is Phase.TRAFFIC:
            self._faults.tick(snapshot)
        elif snapshot.phase is Phase.DRAINING and self._draining_since is None:
            self._draining_since = time.monotonic()
            self._faults.finish()
        self._dry.update(
            campaign.name
            for campaign in snapshot.overview.campaigns
            if campaign.money
            and min(campaign.money.available, campaign.money.day_available) < DEAREST_NANOS
        )

    def drained_sec(self) -> float:
        """Return how long it has been draining."""
        return 0.0 if self._draining_since is None else time.monotonic() - self._draining_since

    def several_ran_dry(self) -> Check:
        """Return whether the run was one in which overspending could have shown."""
        enough = sum(name in self._dry for name in DRY) >= 2
        return Check("several campaigns ran dry", enough, ", ".join(sorted(self._dry)) or "none")


def run(
    trial: Trial,
    plan: Sequence[PlannedFault] | None = None,
    *,
    exchange: type[ContraryExchange] = ContraryExchange,
    keep: bool = False,
    afterwards: Callable[[StackRecord, Recheck], None] | None = None,
) -> Outcome:
    """Send traffic, let go wrong what the seed says (or ``plan``), drain, audit.

    For the main thread of a program. With ``keep`` data and logs stay, if a claim does not hold.
    ``afterwards`` is called when all that has been done and everything still runs, and is given
    what checks everything once more.
    """
    story: list[str] = []
    if plan is None:
        plan = plan_faults(trial.seed, trial.for_sec, trial.each_sec, trial.moments)
    with _state_folder() as folder, _record_of_stores(folder) as (record, proxies, environment):
        supervisor = _supervisor(trial, folder, environment, story.append, twice(plan))
        leftovers = Leftovers(folder, record.postgres_url)
        commands = DoomedCommands(environment, folder / "commands.log", trial.seed, leftovers)
        # The daemons have others now.
        for server in (record.postgres, record.valkey, record.kafka):
            release(server.port)
        past = Past(lambda: supervisor.server("valkey"), stack_folder(supervisor.settings))
        faults = Faults(plan, trial.seed, Tools(supervisor, proxies, past, commands), trial.for_sec)
        follower = Follower(faults)
        traffic = Plan(trial.for_sec, trial.rate, trial.seed, ())
        stored = StoredImpressions(record.postgres_url)
        demo = DemoRun(traffic, supervisor, follower.tick, SAMPLES, beside(exchange, stored))
        try:
            with stored:
                summary = demo.run(threading.Event())
            drained_sec = follower.drained_sec()
            assert summary is not None
            found = audit(record, environment, supervisor.tend, leftovers)
            if afterwards is not None:
                afterwards(record, lambda: _failed_now(record, demo, supervisor, leftovers))
        finally:
            faults.finish()
            supervisor.stop()
        outcome = Outcome(
            trial,
            summary,
            (*faults.done, *commands.ended),
            (
                *summary.checks,
                *found.checks,
                follower.several_ran_dry(),
                faults.recovery.check(),
                _batched(demo),
            ),
            found.late_nanos,
            found.cut_nanos,
            drained_sec,
            faults.left_out,
            tuple(story),
            tuple(proxies["valkey"].silences),
            tuple(faults.recovery.took_sec),
        )
        return _kept(outcome, folder) if keep and outcome.failed else outcome


def _batched(demo: DemoRun) -> Check:
    events = demo._tally.counts()["batched"]
    return Check("events came in batches too", events > 0, f"{events} events")


def _failed_now(
    record: StackRecord, demo: DemoRun, supervisor: ChaosSupervisor, leftovers: Leftovers
) -> list[str]:
    """Return the claims that do not hold any more."""
    settings = supervisor.settings
    with (
        connect(record.redis_url, settings.redis) as client,
        open_pool(record.postgres_url, settings.postgres) as pool,
    ):
        books = Books(pool, client, open_budgets(client, settings.redis.shards), settings.state_dir)
        summary = summarise(demo._tally, books.holdings(), books.undrained(), 0.0, {})
    found = audit(record, None, supervisor.tend, leftovers, within_sec=0.0)
    return [check.claim for check in (*summary.checks, *found.checks) if not check.holds]


def _supervisor(
    trial: Trial,
    folder: Path,
    environment: dict[str, str],
    notify: Callable[[str], None],
    doubled: Sequence[str],
) -> ChaosSupervisor:
    overrides: dict[str, object] = {name: {"port": 0} for name in START_ORDER}
    overrides["state_dir"] = folder
    if trial.kafka == "embedded":
        return ChaosSupervisor(load_settings(overrides=overrides), environment, notify, doubled)
    broker = apache_kafka(folder)
    bootstrap = f"{_LOOPBACK}:{broker.port}"
    environment = {**environment, "ADCTL_KAFKA_BOOTSTRAP": bootstrap}
    settings = load_settings(overrides={**overrides, "kafka": {"bootstrap": bootstrap}})
    return ApacheSupervisor(settings, environment, notify, broker, doubled)


def _kept(outcome: Outcome, folder: Path) -> Outcome:
    kept = Path(tempfile.mkdtemp(prefix=f"adctl-chaos-{outcome.trial.seed}-"))
    shutil.copytree(folder, kept, dirs_exist_ok=True, ignore=_no_binaries)
    return outcome._replace(story=(*outcome.story, f"kept data and logs in {kept}"))


def _no_binaries(_folder: str, names: list[str]) -> list[str]:
    return [name for name in names if name.startswith("pginstall")]


@contextmanager
def _state_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="adctl-chaos-"))
    # PostgreSQL's own account must get through when we are root.
    folder.chmod(0o711)
    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def _record_of_stores(
    folder: Path,
) -> Iterator[tuple[StackRecord, dict[str, FaultyProxy], dict[str, str]]]:
    """Say beforehand where the stores will listen, and put proxies before two of them.

    The daemons get the proxies' addresses, the auditor the stores' own.
    """
    ports = [free_port(_LOOPBACK) for _ in range(5)]
    record = StackRecord(
        _LOOPBACK,
        ServerRecord(ports[0], secrets.token_urlsafe(24)),
        ServerRecord(ports[1], secrets.token_urlsafe(24)),
        ServerRecord(ports[2]),
    )
    stack = stack_folder(load_settings(overrides={"state_dir": folder}))
    stack.mkdir()
    stack.chmod(0o711)
    save_record(stack, record)
    proxies = {
        "postgres": FaultyProxy(ports[3], record.postgres.port),
        "valkey": FaultyProxy(ports[4], record.valkey.port),
    }
    environment = {
        **demo_environment(os.environ, folder),
        **_ENVIRONMENT,
        "ADCTL_POSTGRES_URL": record.postgres_url.replace(f":{ports[0]}/", f":{ports[3]}/"),
        "ADCTL_REDIS_URL": record.redis_url.replace(f":{ports[1]}/", f":{ports[4]}/"),
    }
    for proxy in proxies.values():
        proxy.start()
    try:
        yield record, proxies, environment
    finally:
        for proxy in proxies.values():
            proxy.stop()
        for port in ports:
            release(port)
