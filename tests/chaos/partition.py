"""Redis behind a network that swallows everything, for a while, under load.

``python -m tests.chaos.partition [--for SEC]`` for 30 seconds, or as many. Ends with 1 if anything
did not hold.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

from adctl.demo.requests import TMAX_MS
from adctl.demo.summary import Check
from tests.chaos.market import ContraryExchange
from tests.chaos.moments import PlannedFault
from tests.chaos.world import Outcome, Trial, run

if TYPE_CHECKING:
    import random

    from adctl.demo.errands import Errand, Errands
    from adctl.demo.exchange import Bid
    from adctl.demo.requests import Offer
    from adctl.demo.wire import Reply, Wire
    from adctl.models import EventKind

_BEGINS_SEC = 5.0
_ENDS_BEFORE_SEC = 5
_RATE = 250
# A breaker has to be open by then.
_NOTICED_SEC = 1.0
# Who takes longer has waited for the timeout of redis.hot_timeout_ms.
_AT_ONCE_MS = 45.0


class Answer(NamedTuple):
    """When a bid request was answered, how soon, and with which HTTP status."""

    at: float
    latency_ms: float
    status: int


class Told(NamedTuple):
    """When the tracker had answered a call, or had not."""

    at: float
    taken: bool


class Log:
    """What was answered when, to bid requests and to what was told of bids."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.told: list[Told] = []


class _Stretched:
    """Errands of which each is put off, so that there is something to tell all the time."""

    def __init__(self, errands: Errands, over_sec: float, rng: random.Random) -> None:
        self._errands, self._over_sec, self._rng = errands, over_sec, rng

    def add(self, delay_sec: float, errand: Errand) -> None:
        self._errands.add(delay_sec + self._rng.uniform(0, self._over_sec), errand)


def logging_exchange(log: Log, over_sec: float) -> type[ContraryExchange]:
    """Return an exchange that writes into ``log``, and tells of auctions only by and by."""

    class LoggingExchange(ContraryExchange):
        def _outcome(self, offer: Offer, reply: Reply, latency_ms: float) -> str:
            log.answers.append(Answer(time.monotonic(), latency_ms, reply.status))
            return super()._outcome(offer, reply, latency_ms)

        def _auction(self, bid: Bid, floor_micros: int) -> None:
            errands = self._errands
            self._errands = _Stretched(errands, over_sec, self._rng)
            super()._auction(bid, floor_micros)
            self._errands = errands

        def _notify(self, wire: Wire, kind: EventKind, bid_id: str, url: str, attempt: int) -> None:
            super()._notify(_Listening(wire, log), kind, bid_id, url, attempt)

    return LoggingExchange


class _Listening:
    """A wire of which every answer is noted."""

    def __init__(self, wire: Wire, log: Log) -> None:
        self._wire, self._log = wire, log

    def get(self, url: str) -> Reply | None:
        reply = self._wire.get(url)
        self._log.told.append(Told(time.monotonic(), reply is not None and reply.acknowledges))
        return reply


def run_partition(for_sec: int, *, kafka: str = "embedded", keep: bool = False) -> Outcome:
    """Cut Redis off for ``for_sec``, in the middle of traffic; check that, and all that follows."""
    log = Log()
    trial = Trial(1, int(_BEGINS_SEC) + for_sec + _ENDS_BEFORE_SEC, rate=_RATE, kafka=kafka)
    plan = [PlannedFault(_BEGINS_SEC, "partition off valkey", for_sec)]
    outcome = run(trial, plan, exchange=logging_exchange(log, for_sec), keep=keep)
    return outcome._replace(checks=(*outcome.checks, *_checks(outcome, log, for_sec)))


def _checks(outcome: Outcome, log: Log, for_sec: int) -> list[Check]:
    [(began, ended)] = outcome.silences
    noticed = began + _NOTICED_SEC
    meanwhile = [answer for answer in log.answers if noticed < answer.at < ended]
    told = [told for told in log.told if began < told.at < ended]
    bids = sum(answer.status == 200 for answer in meanwhile)
    slow = sum(answer.latency_ms > _AT_ONCE_MS for answer in meanwhile)
    late = sum(answer.latency_ms > TMAX_MS for answer in log.answers if began < answer.at < ended)
    traffic = outcome.summary.traffic
    unanswered = sum(not one.taken for one in told)
    return [
        Check("Redis was away", abs(ended - began - for_sec) < 1, f"{ended - began:.1f} s"),
        Check("every bid request was answered", traffic["unanswered"] == 0, f"{traffic}"),
        Check("there was load", len(meanwhile) > _RATE * for_sec / 4, f"{len(meanwhile)} answers"),
        Check("no bid was made without Redis", bids == 0, f"{bids} bids"),
        # A busy machine may hold up one or another.
        Check("answers came within tmax", late <= len(meanwhile) / 200, f"{late} did not"),
        Check("within a second, next to nobody waits", slow <= len(meanwhile) / 10, f"{slow} did"),
        Check("events were told", len(told) > 5 * for_sec, f"{len(told)} events"),
        Check("every event was answered as usual", unanswered == 0, f"{unanswered} were not"),
        Check("nothing was told in vain", traffic["events_untold"] == 0, f"{traffic}"),
    ]


def main() -> int:
    """Do it, and say what was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.partition", description=__doc__)
    parser.add_argument("--for", dest="for_sec", type=int, default=30, metavar="SEC")
    parser.add_argument("--kafka", choices=("embedded", "apache"), default="embedded")
    arguments = parser.parse_args()
    for name in [name for name in os.environ if name.startswith("ADCTL_")]:
        del os.environ[name]
    outcome = run_partition(arguments.for_sec, kafka=arguments.kafka, keep=True)
    for check in outcome.checks:
        sys.stdout.write(f"{'holds' if check.holds else 'FAILS'}  {check.claim}: {check.found}\n")
    sys.stdout.write(f"drained in {outcome.drained_sec:.1f} s\n")
    return 1 if outcome.failed else 0


if __name__ == "__main__":
    sys.exit(main())
