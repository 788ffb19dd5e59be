"""One run: a product of its own whose daemons reach their stores through faulty proxies."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from adctl.config import load_settings
from adctl.control.daemon_process import START_ORDER
from adctl.control.supervision import Supervisor
from adctl.demo.plan import Plan
from adctl.demo.run import DemoRun, Phase, Snapshot, demo_environment
from adctl.demo.summary import Check, Summary
from adctl.stores.embedded.ports import free_port
from adctl.stores.embedded.state import ServerRecord, StackRecord, save_record
from adctl.stores.endpoints import stack_folder
from tests.chaos.audit import audit
from tests.chaos.faults import Faults, plan_faults
from tests.chaos.market import SAMPLES, ContraryExchange
from tests.chaos.proxy import FaultyProxy

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOOPBACK = "127.0.0.1"
# Short, so that reservations expire and wins come late while there is traffic.
_ENVIRONMENT = {
    "ADCTL_MONEY_RESERVATION_TTL_SEC": "4",
    "ADCTL_MONEY_RESERVATION_BUCKET_SEC": "1",
    "ADCTL_BIDDER_WORKERS": "2",
    "ADCTL_TRACKER_WORKERS": "2",
}


class Outcome(NamedTuple):
    """What a run did, what was done to it, and every claim that was checked at its end."""

    options: str
    summary: Summary
    faults: tuple[str, ...]
    checks: tuple[Check, ...]
    late_nanos: int
    story: tuple[str, ...]

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
                f"  repeat with: .venv/bin/python -m tests.chaos {self.options}",
            )
        )


def run(
    seed: int,
    for_sec: int,
    *,
    rate: int = 100,
    each_sec: float = 2.0,
    keep: bool = False,
) -> Outcome:
    """Send ``for_sec`` of traffic, let go wrong what ``seed`` says, drain, audit.

    For the main thread of a program. With ``keep`` data and logs stay, if a claim does not hold.
    """
    story: list[str] = []
    with _state_folder() as folder, _record_of_stores(folder) as (record, proxies, environment):
        ports = {name: {"port": 0} for name in START_ORDER}
        settings = load_settings(overrides={"state_dir": folder, **ports})
        supervisor = Supervisor(settings, environment, story.append)
        planned = plan_faults(seed, for_sec, each_sec)
        faults = Faults(planned, seed, supervisor, proxies)

        def tick(snapshot: Snapshot) -> None:
            if snapshot.phase is Phase.TRAFFIC:
                faults.tick(snapshot.elapsed_sec)

        plan = Plan(for_sec, rate, seed, ())
        demo = DemoRun(plan, supervisor, tick, SAMPLES, ContraryExchange)
        try:
            summary = demo.run(threading.Event())
            assert summary is not None
            found = audit(record, environment, supervisor.tend)
        finally:
            supervisor.stop()
        checks = (*summary.checks, *found.checks)
        options = f"--seed {seed} --for {for_sec} --each {each_sec}"
        outcome = Outcome(
            options, summary, tuple(faults.done), checks, found.late_nanos, tuple(story)
        )
        if keep and outcome.failed:
            kept = Path(tempfile.mkdtemp(prefix=f"adctl-chaos-{seed}-"))
            shutil.copytree(folder, kept, dirs_exist_ok=True, ignore=_no_binaries)
            return outcome._replace(story=(*outcome.story, f"kept data and logs in {kept}"))
        return outcome


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
    taken: set[int] = set()
    ports = [free_port(_LOOPBACK, taken) for _ in range(5)]
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
