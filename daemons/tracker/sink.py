"""Where the tracker puts events: Redis, or the spool while Redis is away."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import greenlet
import structlog

from adctl.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from adctl.delivery.tracking import TrackedEvent
    from adctl.stores.event_intake import EventIntake
    from adctl.stores.spool import Spool

log = structlog.get_logger()

REPLAY_EVENTS = 250
"""As many spooled events go to Redis between two turns: some 10 ms, which live traffic waits."""

REPLAY_EVERY_SEC = 0.5


class SpoolingSink:
    """Keeps every event it answers for. Used from one worker's loop.

    While anything is spooled, what comes is spooled behind it, so that events stay in order. What
    the requests of one turn have for the spool is written at once, in ``exchange``: one wait for
    the disk for all of them (daemons/turns.py). ``oldest_ms`` is when the oldest of them was told,
    as the last replay found it.
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
        self._replayed = 0
        self.oldest_ms = 0
        self.waiting: list[tuple[greenlet.greenlet, Sequence[TrackedEvent]]] = []

    def take(self, tracked: TrackedEvent) -> str:
        """See TakeEvent; ``spooled`` is one of the things that can become of an event."""
        if self._to_redis:
            try:
                return self._intake.take(tracked)
            except StoreUnavailableError as exc:
                self._say_why(exc)
        [kept] = self._keep([tracked])
        if isinstance(kept, StoreUnavailableError):
            raise kept
        return kept

    def take_all(self, events: Sequence[TrackedEvent]) -> list[str | StoreUnavailableError]:
        """Keep events in their order; return what became of each, as take does or would raise."""
        if not self._to_redis:
            return self._keep(events)
        outcomes = self._intake.take_all(events)
        missed = [n for n, told in enumerate(outcomes) if isinstance(told, StoreUnavailableError)]
        if missed:
            self._say_why(outcomes[missed[0]])
            kept = self._keep([events[n] for n in missed])
            for n, told in zip(missed, kept, strict=True):
                outcomes[n] = told
        return outcomes

    def check(self, ping: Callable[[], None]) -> None:
        """Raise StoreUnavailableError if an event that came now could not be kept anywhere.

        ``ping`` raises it if Redis does not answer.
        """
        if self._to_redis:
            with suppress(StoreUnavailableError):
                ping()
                return
        if self._spool.full:
            raise StoreUnavailableError("the spool is full")
        try:
            # Nothing comes to a worker that is not ready: only this tells that it can write again.
            self._spool.probe()
        except OSError as exc:
            raise StoreUnavailableError(f"the spool cannot be written: {exc}") from exc

    @property
    def spooled_bytes(self) -> int:
        """Bytes of events on disk."""
        return 0 if self._spool.empty else self._spool.size

    @property
    def spooling(self) -> bool:
        """Whether events go to the spool."""
        return not self._to_redis

    @property
    def _to_redis(self) -> bool:
        return self._spool.empty and not self.waiting

    def _say_why(self, exc: object) -> None:
        if self._to_redis:
            log.warning("events go to the spool", because=str(exc))

    def _keep(self, events: Sequence[TrackedEvent]) -> list[str | StoreUnavailableError]:
        me = greenlet.getcurrent()
        if me.parent is None:
            return _outcomes(events, self._written(events))
        self.waiting.append((me, events))
        outcomes: list[str | StoreUnavailableError] = me.parent.switch()
        return outcomes

    def exchange(self) -> None:
        """Write what all greenlets wait to have kept, and resume each. Called by the loop."""
        waiting, self.waiting = self.waiting, []
        written = self._written([tracked for _, events in waiting for tracked in events])
        for waiter, events in waiting:
            waiter.switch(_outcomes(events, written))
            if isinstance(written, int):
                written = max(0, written - len(events))

    def _written(self, events: Sequence[TrackedEvent]) -> int | OSError:
        """Return how many of them, from the first, are on disk, or why none is."""
        try:
            return self._spool.append(events)
        except OSError as exc:
            log.error("the spool cannot be written", because=str(exc))  # noqa: TRY400 - said whole
            return exc

    def replay(self) -> bool:
        """Take a portion of the spool to Redis; True if there is more to do at once.

        Called by the loop between turns, and cheap when the spool is empty.
        """
        if self._spool.empty or self._clock() < self._next_replay:
            return False
        try:
            events = self._spool.peek(REPLAY_EVENTS)
        except OSError as exc:
            log.error("the spool cannot be read", because=str(exc))  # noqa: TRY400 - said whole
            self._next_replay = self._clock() + REPLAY_EVERY_SEC
            return False
        self.oldest_ms = events[0].event.occurred_at_ms if events else 0
        taken = _taken(self._intake.take_all(events)) if events else 0
        self._spool.forget(taken)
        self._replayed += taken
        if taken < len(events):
            self._next_replay = self._clock() + REPLAY_EVERY_SEC
            return False
        self._say_when_empty()
        return True

    def _say_when_empty(self) -> None:
        if self._spool.empty:
            log.info("the spool is empty again", replayed=self._replayed)
            self._replayed = 0


def _taken(outcomes: Sequence[Any]) -> int:
    """Return how many were taken before the first that was not. Taking one again is safe."""
    missed = (n for n, told in enumerate(outcomes) if isinstance(told, StoreUnavailableError))
    return next(missed, len(outcomes))


def _outcomes(
    events: Sequence[TrackedEvent], written: int | OSError
) -> list[str | StoreUnavailableError]:
    if isinstance(written, OSError):
        return [StoreUnavailableError(f"the spool cannot be written: {written}") for _ in events]
    kept = min(written, len(events))
    full = len(events) - kept
    return ["spooled"] * kept + [StoreUnavailableError("the spool is full") for _ in range(full)]
