"""The tracker with one of the ways by which what it acknowledges could outlive Redis.

``python -m tests.bench.durable_tracker WAY PORT``. Only the journal is the product's; the others
are what it was chosen over (docs/decisions/0024-acknowledged-means-durable.md).
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from adctl.errors import StoreUnavailableError
from adctl.stores.round_trip import RoundTrips
from daemons.lifecycle import run_daemon
from daemons.tracker import __main__ as tracker
from daemons.tracker.journaling import Journaling
from daemons.tracker.sink import SpoolingSink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adctl.delivery.tracking import TrackedEvent

NOTHING, WAITAOF, SPOOL, JOURNAL = "nothing", "waitaof", "spool", "journal"
_WAIT_MS = 10_000
_SPOOLED_BYTES = 16 << 20


class WaitingRoundTrips(RoundTrips):
    """Asks, once a turn and before anybody is told, that Redis has synced what it was sent."""

    def _tell(self, oldest: Any) -> None:
        begun, oldest.begun = oldest.begun, []
        replies = [reply for receive in begun for reply in receive()]
        self._connection.exchange([("WAITAOF", 1, 0, _WAIT_MS)])
        oldest.begun = [lambda: replies]
        super()._tell(oldest)


class SpoolFirst(SpoolingSink):
    """Has what comes on disk, once a turn, before Redis is given it."""

    def take(self, tracked: TrackedEvent) -> str:
        """Keep an event on disk, then in Redis."""
        [kept] = self._keep([tracked])
        if isinstance(kept, StoreUnavailableError):
            raise kept
        return self._intake.take(tracked)

    def replay(self) -> bool:
        """Make room: Redis has all of it."""
        if self._spool.size > _SPOOLED_BYTES:
            while events := self._spool.peek(10**6):
                self._spool.forget(len(events))
        return False


def _keep_nothing(_self: Journaling, _events: Sequence[TrackedEvent]) -> None:
    """Leave it to Redis."""


def main() -> None:
    """Run the tracker as it was asked for."""
    way = sys.argv[1]
    replaced: dict[str, Any] = {}
    if way != JOURNAL:
        Journaling.keep = _keep_nothing  # type: ignore[method-assign]
    if way == WAITAOF:
        replaced["RoundTrips"] = WaitingRoundTrips
    if way == SPOOL:
        replaced["SpoolingSink"] = SpoolFirst
    vars(tracker).update(replaced)
    run_daemon("tracker", tracker.main)


if __name__ == "__main__":
    main()
