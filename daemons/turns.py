"""Requests handled in turns of one thread, sharing their round trip to Redis.

waitress hands each request to a thread and back, which costs more than our answer does. Here the
loop's own thread does the work: after every poll it answers what has arrived.

Most bid requests are answered in steps, and those of a turn take each step together. A step done by
sixteen in a row takes two thirds of what it does when all of an answer's code comes in between,
which is more than the processor's caches hold. All else is plain code in a greenlet each.

Either way what is asked of Redis is written down; commands go out by fours, and when all of the
turn wait, their replies are read: at once, or where many ask when the next turn's requests have
asked.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Protocol

import greenlet
import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, Sized

    from adctl.delivery.auction import Verdict, Vote
    from adctl.delivery.steps import Steps

    Ask = Callable[[Vote, Callable[[list[Verdict] | Exception], object]], None]

log = structlog.get_logger()

MOST_IDLE = 128
"""As many greenlets are kept: more than are at work in nearly every turn."""

# Fewer requests wait for Redis at once: to go around the loop takes longer than it does.
_MANY = 4


class Service(Protocol):
    """What waitress queues: a connection with a whole request in it."""

    def begin(self) -> Steps[None] | None:
        """Return the steps that answer the request; None if it is to be answered by ``service``."""

    def service(self) -> None:
        """Answer the request."""

    def cancel(self) -> None:
        """Give up on it."""


class Shared(Protocol):
    """What the requests of a turn do together: a round trip to Redis, a write to disk."""

    @property
    def waiting(self) -> Sized:
        """Who waits for it."""

    def exchange(self) -> None:
        """Do it for all who wait, and resume each."""


class Rounds(Shared, Protocol):
    """What can be at work on one turn's requests while the next one's ask."""

    def close_round(self) -> None:
        """Read what has been asked at an exchange of its own; later questions at another."""


def _ask_nobody(vote: Vote, _resume: object) -> None:
    raise LookupError(f"nobody to decide {vote}")


class Turns:
    """A waitress task dispatcher without threads. Used from the loop's thread only.

    Of what is ``shared``, nothing is done before all that stands before it. ``ask`` is told the
    votes that steps come to, and what to call with the verdicts or with an exception. ``meanwhile``
    is called once a turn, while others are at work on what was asked of them.

    What a turn of many asks of who is ``ahead`` is read in the next turn: while Redis works,
    requests that have arrived in the meantime are read and take their first steps.
    """

    def __init__(
        self,
        *shared: Shared,
        ask: Ask = _ask_nobody,
        meanwhile: Callable[[], object] = lambda: None,
        ahead: Rounds | None = None,
    ) -> None:
        self._shared = shared
        self._ask = ask
        self._meanwhile = meanwhile
        self._ahead = ahead
        self._arrived: deque[Service] = deque()
        self._gave_way: list[greenlet.greenlet] = []
        self._abreast: list[Steps[None]] = []
        self._idle: list[greenlet.greenlet] = []

    def set_thread_count(self, count: int) -> None:
        """Part of waitress' interface; there are no threads to count."""

    def add_task(self, task: Service) -> None:
        """Queue a request. Running it here would deadlock: waitress holds the channel's lock."""
        self._arrived.append(task)

    def shutdown(self, cancel_pending: bool = True, timeout: float = 5) -> bool:  # noqa: ARG002
        """Part of waitress' interface; cancel what has not been started."""
        cancelled = bool(self._arrived)
        while self._arrived:
            self._arrived.popleft().cancel()
        return cancelled

    def run(self) -> bool:
        """Answer everything that has arrived; True if there was anything.

        What arrives meanwhile waits for the next turn: it is the next of many requests that one
        connection has sent in a row, and others come first.
        """
        self._arrived, arrived = deque(), self._arrived
        self._gave_way, waited = [], self._gave_way
        asked_before = self._ahead is not None and bool(self._ahead.waiting)
        for one in waited:
            one.switch()
        for task in arrived:
            steps = task.begin()
            if steps is None:
                (self._idle.pop() if self._idle else greenlet.greenlet(self._work)).switch(task)
            else:
                self._abreast.append(steps)
        self._bring_abreast()
        if self._ahead is not None:
            self._ahead.close_round()
        self._meanwhile()
        if self._ahead is not None and len(arrived) >= _MANY:
            if asked_before:
                self._ahead.exchange()
                self._bring_abreast()
            return True
        while waited_for := next((one for one in self._shared if one.waiting), None):
            waited_for.exchange()
            self._bring_abreast()
        return bool(arrived or waited or asked_before)

    def _bring_abreast(self) -> None:
        """Take all steps up to where they wait for what is shared."""
        while self._abreast:
            self._abreast, abreast = [], self._abreast
            for steps in abreast:
                self._go_on(steps)

    def _go_on(self, steps: Steps[None], told: list[Verdict] | Exception | None = None) -> None:
        """Take the next step."""
        try:
            vote = steps.throw(told) if isinstance(told, Exception) else steps.send(told)
        except StopIteration:
            return
        except Exception:
            log.exception("request failed")
            return
        if vote is None:
            self._abreast.append(steps)
            return
        try:
            self._ask(vote, partial(self._go_on, steps))
        except Exception as exc:  # noqa: BLE001 - the others of the turn go on
            self._go_on(steps, exc)

    def give_way(self) -> None:
        """Go on with this request in the next turn, after what others send has been read.

        For a responder that has much to do: nobody else is answered before it waits. Outside of a
        turn it does nothing.
        """
        me = greenlet.getcurrent()
        if me.parent is not None:
            self._gave_way.append(me)
            me.parent.switch()

    def _work(self, task: Service) -> None:
        """Be one greenlet: answer one request after the other.

        A greenlet that begins and ends takes two calls of the system: the interpreter maps memory
        for its frames, and gives it back.
        """
        me = greenlet.getcurrent()
        loop = me.parent
        while True:
            _answer(task)
            if loop is None or len(self._idle) >= MOST_IDLE:
                return
            self._idle.append(me)
            task = loop.switch()


def _answer(task: Service) -> None:
    try:
        task.service()
    except Exception:
        # waitress answers 500 for what a responder raises; this is what even that could not.
        log.exception("request failed")
