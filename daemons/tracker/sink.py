"""Where the tracker puts events: Redis, or the spool while Redis is away."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import structlog

from adctl.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from adctl.delivery.tracking import TrackedEvent
    from adctl.stores.event_intake import EventIntake
    from adctl.stores.spool import Spool

log = structlog.get_logger()

_REPLAY_EVERY_SEC = 0.5


class SpoolingSink:
    """Keeps every event it answers for. Used from one worker's loop.

    While anything is spooled, what comes is spooled behind it, so that events stay in order.
    """

    def __init__(
        self,
        intake: EventIntake,
        spool: Spool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._intake = intake
        self._spool = spool
        self._clock = clock
        self._next_replay = 0.0

    def take(self, tracked: TrackedEvent) -> str:
        """See TakeEvent; ``spooled`` is the fourth thing that can become of an event."""
        if self._spool.empty:
            try:
                return self._intake.take(tracked)
            except StoreUnavailableError as exc:
                log.warning("events go to the spool", because=str(exc))
        try:
            self._spool.append(tracked)
        except OSError as exc:
            raise StoreUnavailableError(f"the spool cannot be written: {exc}") from exc
        return "spooled"

    def replay(self) -> None:
        """Try to empty the spool; called by the loop between turns, and cheap when it is empty."""
        if self._spool.empty or self._clock() < self._next_replay:
            return
        try:
            replayed = self._spool.replay(self._intake.take)
        except StoreUnavailableError:
            self._next_replay = self._clock() + _REPLAY_EVERY_SEC
        else:
            log.info("the spool is empty again", replayed=replayed)
