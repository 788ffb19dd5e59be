"""What Redis has taken is written to the journal too, and goes to a Redis again that forgot it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import greenlet
import structlog

from adctl.errors import StoreUnavailableError
from daemons.tracker.sink import REPLAY_EVENTS, REPLAY_EVERY_SEC

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from adctl.delivery.tracking import TrackedEvent
    from adctl.stores.event_intake import EventIntake
    from adctl.stores.journal import Journal
    from adctl.stores.stream_look import Look, StreamLooks
    from daemons.tracker.metrics import TrackerMetrics

log = structlog.get_logger()

LOOK_SEC = 1.0
# A full journal drops a segment now and then: it is full until that has not happened for a while.
_CALM_SEC = 10.0
_KNOWN = frozenset({"duplicate", "repriced"})


class Journaling:
    """Journals for the requests of a turn together, in ``exchange``. Used from one worker's loop.

    An event is answered when it is in the journal, or cannot be: Redis has it, and only both of
    them failing loses it. ``unprotected`` says why such events have nothing but Redis now.
    """

    def __init__(
        self,
        journal: Journal,
        metrics: TrackerMetrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._journal = journal
        self._metrics = metrics
        self._clock = clock
        self._retry_at = self._over_at = 0.0
        self.unprotected = ""
        self.waiting: list[tuple[greenlet.greenlet, Sequence[TrackedEvent]]] = []

    def keep(self, events: Sequence[TrackedEvent]) -> None:
        """Have events written, those of one turn at once; return when that is done."""
        me = greenlet.getcurrent()
        if me.parent is None:
            self._write(events)
            return
        self.waiting.append((me, events))
        me.parent.switch()

    def exchange(self) -> None:
        """Write what all greenlets wait to have written, and resume each. Called by the loop."""
        waiting, self.waiting = self.waiting, []
        self._write([tracked for _, events in waiting for tracked in events])
        for waiter, _ in waiting:
            waiter.switch()

    def _write(self, events: Sequence[TrackedEvent]) -> None:
        now = self._clock()
        if now < self._retry_at:
            self._metrics.journal_unprotected.inc(len(events))
            return
        try:
            gone = self._journal.append(events)
        except OSError as exc:
            self._retry_at = now + LOOK_SEC
            self._say_unprotected(f"the journal cannot be written: {exc}", len(events), LOOK_SEC)
            return
        if gone:
            self._say_unprotected("the journal is full: PostgreSQL is far behind", gone, _CALM_SEC)
        elif self.unprotected and now >= self._over_at:
            log.info("acknowledged events are in the journal again")
            self.unprotected = ""

    def _say_unprotected(self, why: str, events: int, for_sec: float) -> None:
        self._metrics.journal_unprotected.inc(events)
        if why != self.unprotected:
            log.error("acknowledged events have nothing but Redis", because=why)
        self.unprotected, self._over_at = why, self._clock() + for_sec


class Retaking:
    """Takes journaled events to a Redis that may have forgotten them. Used from the worker's loop.

    It looks at the shards once a second, never on a request's path. A segment goes once PostgreSQL
    has come to where the stream was after it had been taken, in a Redis that has forgotten nothing
    since: only a look by which that is so drops anything.
    """

    def __init__(
        self,
        journal: Journal,
        intake: EventIntake,
        looks: StreamLooks,
        shards: int,
        metrics: TrackerMetrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._journal = journal
        self._intake = intake
        self._looks = looks
        self._shards = shards
        self._metrics = metrics
        self._clock = clock
        self._memories: dict[int, tuple[str, str]] = {}
        self._forgetful: set[int] = set()
        self._next_look = 0.0
        self._next_try = 0.0
        self._doubted = self._unsure = False
        self._taken = 0

    @property
    def behind(self) -> bool:
        """Whether events that came before what is spooled may have to be taken yet."""
        return self._journal.rewound or self._unsure

    def run(self, *, doubted: bool) -> bool:
        """Look if it is time, and take a portion; True if there is more to do at once.

        ``doubted`` says that Redis has failed: it is looked at before anything else is given to it.
        """
        now = self._clock()
        if doubted and not self._doubted:
            self._unsure, self._next_look = True, now
        self._doubted = doubted
        if now >= self._next_look:
            self._look()
            self._next_look = now + (REPLAY_EVERY_SEC if self._unsure else LOOK_SEC)
        return self._journal.rewound and now >= self._next_try and self._retake()

    def _look(self) -> None:
        self._journal.seal()
        # All of them at first: one of which nothing was known before may have forgotten anything.
        every = self._shards
        asked = self._journal.shards(every) if self._memories else range(every)
        looks = self._looks.at(asked)
        self._unsure = self._unsure and len(looks) < len(asked)
        changed = {shard for shard, look in looks.items() if self._changed(shard, look)}
        if changed:
            self._journal.rewind()
            self._forgetful = (self._forgetful | changed) if self._journal.rewound else set()
        sound = {shard: look for shard, look in looks.items() if look.confirmed}
        self._journal.release({shard: look.flushed_id for shard, look in sound.items()})
        self._journal.mark({shard: look.last_id for shard, look in sound.items() if look.ordered})
        self._metrics.journal_bytes.set(self._journal.size)

    def _changed(self, shard: int, look: Look) -> bool:
        before = self._memories.get(shard)
        self._memories[shard] = look.memory
        if before and before != look.memory:
            log.warning("Redis may have forgotten events; they are taken again", shard=shard)
        return before != look.memory

    def _retake(self) -> bool:
        try:
            events = self._journal.peek(REPLAY_EVENTS)
        except OSError as exc:
            log.error("the journal cannot be read", because=str(exc))  # noqa: TRY400 - said whole
            self._next_try = self._clock() + REPLAY_EVERY_SEC
            return False
        concerned = [n for n, tracked in enumerate(events) if tracked.shard in self._forgetful]
        told = self._intake.retake_all([events[n] for n in concerned]) if concerned else []
        missed = [n for n, one in zip(concerned, told, strict=True) if _is_missing(one)]
        self._journal.advance(missed[0] if missed else len(events))
        self._count(sum(not _is_missing(one) and one not in _KNOWN for one in told))
        if missed:
            self._next_try = self._clock() + REPLAY_EVERY_SEC
            return False
        if not self._journal.rewound:
            self._say_done()
        return True

    def _count(self, taken: int) -> None:
        self._taken += taken
        self._metrics.journal_retaken.inc(taken)

    def _say_done(self) -> None:
        if self._taken:
            log.warning("Redis had forgotten events, and has them again", events=self._taken)
        self._taken = 0
        self._forgetful.clear()


def _is_missing(told: object) -> bool:
    return isinstance(told, StoreUnavailableError)
