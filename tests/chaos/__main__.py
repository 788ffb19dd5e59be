"""``python -m tests.chaos [--seeds N | --seed S] [--for SEC]``: run with faults, and audit.

Each seed takes about a minute and a half, on stores and daemons of its own. Ends with 1 if anything
did not hold, and says how to repeat it.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

from adctl.money import format_nanos
from tests.chaos.moments import EVERY_GROUP
from tests.chaos.world import Outcome, Trial, run

_FOR_SEC = 45


def main() -> int:
    """Run the seeds one after the other."""
    arguments = _arguments()
    for name in [name for name in os.environ if name.startswith("ADCTL_")]:
        del os.environ[name]
    seeds = [arguments.seed] if arguments.seed else range(1, arguments.seeds + 1)
    failed = []
    for seed in seeds:
        began = time.monotonic()
        trial = Trial(
            seed,
            arguments.for_sec,
            arguments.each_sec,
            kafka=arguments.kafka,
            moments=arguments.moments,
        )
        outcome = run(trial, keep=True)
        _tell(seed, outcome, time.monotonic() - began)
        if outcome.failed:
            failed.append(seed)
        if outcome.failed or arguments.tell:
            sys.stdout.write(f"{outcome.explained()}\n")
    sys.stdout.write(f"{len(seeds) - len(failed)} of {len(seeds)} seeds held\n")
    return 1 if failed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1, help="run seeds 1 to this one")
    parser.add_argument("--seed", type=int, default=0, help="run this one alone")
    parser.add_argument("--for", dest="for_sec", type=int, default=_FOR_SEC, metavar="SEC")
    parser.add_argument("--each", dest="each_sec", type=float, default=2.0, metavar="SEC")
    parser.add_argument("--kafka", choices=("embedded", "apache"), default="embedded")
    parser.add_argument("--tell", action="store_true", help="say what went wrong even if all held")
    parser.add_argument(
        "--moments",
        type=_groups,
        default=EVERY_GROUP,
        metavar="GROUPS",
        help=f"of {','.join(EVERY_GROUP)}, only these",
    )
    return parser.parse_args()


def _groups(text: str) -> tuple[str, ...]:
    groups = tuple(text.split(","))
    if unknown := set(groups) - set(EVERY_GROUP):
        raise argparse.ArgumentTypeError(f"there are no {', '.join(unknown)}")
    return groups


def _tell(seed: int, outcome: Outcome, took_sec: float) -> None:
    traffic = outcome.summary.traffic
    acknowledged = sum(int(str(row["acknowledged"])) for row in outcome.summary.events)
    restarts = sum(outcome.summary.restarts.values())
    sys.stdout.write(
        f"seed {seed}: {'FAILED' if outcome.failed else 'held'}; "
        f"{len(outcome.faults)} faults ({outcome.left_out} left out), {restarts} restarts, "
        f"{traffic['requests']} requests, "
        f"{traffic['bids']} bids, {acknowledged} events acknowledged, "
        f"spend {traffic['spend']}, late {format_nanos(outcome.late_nanos)}, "
        f"cut {format_nanos(outcome.cut_nanos)}, "
        f"{_again(outcome.bids_again_sec)}"
        f"drained in {outcome.drained_sec:.1f} s, {took_sec:.0f} s in all\n"
    )
    sys.stdout.flush()


def _again(bids_again_sec: tuple[float, ...]) -> str:
    if not bids_again_sec:
        return ""
    return f"bids after the past {len(bids_again_sec)} times within {max(bids_again_sec):.1f} s, "


if __name__ == "__main__":
    sys.exit(main())
