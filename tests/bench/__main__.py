"""``python -m tests.bench [--rounds N] [--json FILE]``: measure, and print one table.

Starts stores of its own in a temporary folder. Measures for less than a minute; whatever else the
machine does meanwhile is measured too.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from adctl.config import RedisSettings
from adctl.delivery.catalog import Catalog
from adctl.stores.budgets import Budgets
from adctl.stores.catalog import CatalogStore
from adctl.stores.embedded.stack import EmbeddedStack
from adctl.stores.redis import connect
from tests.bench import (
    deciding,
    hostile,
    load,
    market,
    messages,
    proof,
    serving,
    spooling,
    stages,
    tracking,
)
from tests.bench.measurements import Measurement, markdown

if TYPE_CHECKING:
    from collections.abc import Iterator

CATALOGS = (100, 1_000, 10_000)
SERVED = 1_000


def main() -> None:
    """Measure everything, once per round."""
    arguments = _arguments()
    for name in [name for name in os.environ if name.startswith("ADCTL_")]:
        del os.environ[name]
    machine = _machine()
    sys.stdout.write(f"{machine['processors']} x {machine['processor']}, {machine['system']}, ")
    sys.stdout.write(f"Python {machine['python']}, load by {machine['load']}\n\n")
    measurements = list(_measure(arguments.rounds))
    sys.stdout.write(markdown(measurements) + "\n")
    if arguments.json:
        arguments.json.write_text(json.dumps(_document(machine, measurements), indent=2) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="times everything is measured")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there too")
    return parser.parse_args()


def _measure(rounds: int) -> Iterator[Measurement]:
    yield from messages.measure(rounds)
    for count in CATALOGS:
        yield from stages.measure(count, rounds)
    folder = Path(tempfile.mkdtemp(prefix="adctl-bench-"))
    # PostgreSQL's own account has to enter it.
    folder.chmod(0o711)
    stack = EmbeddedStack(folder / "stack")
    try:
        stack.start(owned=True)
        endpoints = stack.endpoints()
        campaigns = market.campaigns(SERVED)
        with connect(endpoints.redis_url, RedisSettings()) as client:
            CatalogStore(client).fill(campaigns)
            budgets, today = Budgets(client), datetime.now(UTC).date()
            for campaign in campaigns:
                budgets.sync(campaign, today, 0, 0)
        yield from deciding.measure(endpoints.redis_url, Catalog.build(campaigns), rounds)
        yield from serving.measure(endpoints, folder, rounds)
        yield from tracking.measure(endpoints, folder, rounds)
        yield from spooling.measure(folder, rounds)
        yield from proof.measure(endpoints, campaigns, rounds)
        yield from hostile.measure(endpoints, folder, rounds)
    finally:
        stack.stop()
        shutil.rmtree(folder)


def _machine() -> dict[str, object]:
    return {
        "processors": os.cpu_count(),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load": load.generator(),
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def _document(machine: dict[str, object], measurements: list[Measurement]) -> dict[str, object]:
    return {
        "machine": machine,
        "measurements": [
            {"name": one.name, "unit": one.unit, "rounds": list(one.rounds)} for one in measurements
        ],
    }


if __name__ == "__main__":
    main()
