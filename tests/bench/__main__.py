"""``python -m tests.bench [--rounds N] [--campaigns N,N] [--json FILE]``: measure, print a table.

Starts stores of its own in a temporary folder. Whatever else the machine does meanwhile is measured
too.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from adctl.delivery.catalog import Catalog
from tests.bench import (
    consuming,
    deciding,
    flushing,
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
from tests.bench.stores import own_stores

if TYPE_CHECKING:
    from collections.abc import Iterator

CATALOGS = (100, 1_000, 10_000)


def main() -> None:
    """Measure everything, once per round."""
    arguments = _arguments()
    for name in [name for name in os.environ if name.startswith("ADCTL_")]:
        del os.environ[name]
    machine = _machine()
    sys.stdout.write(f"{machine['processors']} x {machine['processor']}, {machine['system']}, ")
    sys.stdout.write(f"Python {machine['python']}, load by {machine['load']}\n\n")
    measurements = list(_measure(arguments.rounds, sorted({*arguments.campaigns, serving.SERVED})))
    sys.stdout.write(markdown(measurements) + "\n")
    if arguments.json:
        arguments.json.write_text(json.dumps(_document(machine, measurements), indent=2) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="times everything is measured")
    parser.add_argument(
        "--campaigns",
        type=lambda text: tuple(int(count) for count in text.split(",")),
        default=CATALOGS,
        metavar="N,N",
        help="sizes of the catalogs; 1000 is one of them whatever is said",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there too")
    return parser.parse_args()


def _measure(rounds: int, counts: list[int]) -> Iterator[Measurement]:
    yield from messages.measure(rounds)
    for count in counts:
        yield from stages.measure(count, rounds)
    with own_stores() as (endpoints, folder):
        campaigns = market.campaigns(serving.SERVED)
        serving.stock_up(endpoints, campaigns)
        yield from deciding.measure(endpoints.redis_url, Catalog.build(campaigns), rounds)
        yield from proof.measure(endpoints, campaigns, rounds)
        yield from tracking.measure(endpoints, folder, rounds)
        yield from spooling.measure(folder, rounds)
        yield from consuming.measure(endpoints, rounds)
        yield from flushing.measure(endpoints, rounds)
        yield from hostile.measure(endpoints, folder, rounds)
        yield from serving.measure(folder, rounds, counts)


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
