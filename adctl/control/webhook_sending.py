"""Sending what webhooks are owed: signed, again and again for a while, and then given up.

A webhook's deliveries are sent one after the other, in the order in which they are due, and those
of different webhooks beside each other: a receiver that takes its time takes nobody else's.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from adctl.control.webhook_signature import signed_headers
from adctl.stores.postgres import load_queries, postgres_errors
from adctl.stores.webhook_post import UndeliverableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import psycopg
    from psycopg_pool import ConnectionPool

    from adctl.config_notices import WebhookSettings
    from adctl.stores.webhook_post import Answer

    Post = Callable[[str, bytes, Mapping[str, str]], Answer]

DELIVERED = "delivered"
FAILED = "failed"
POSTPONED = "postponed"

_SENDERS = 32
_AT_ONCE = 8
_FIRST_DELAY_SEC = 5.0
_GROWTH = 4
_LONGEST_DELAY_SEC = 4 * 3600.0
_GONE = 410
# Beyond the time that all of a webhook can take which are taken at once.
_LEASE_FACTOR = 2 * _AT_ONCE


class Due(NamedTuple):
    """A delivery to be sent now, and for how many seconds it has been tried."""

    id: int
    webhook_id: int
    event_id: str
    body: str
    attempts: int
    tried_sec: float
    url: str
    secret: str


class Sent(NamedTuple):
    """What came of an attempt. ``answer`` is for people."""

    ok: bool
    answer: str
    gone: bool = False


class WebhookSender:
    """Sends deliveries. Any number may run at once: each delivery is one's own for a while.

    Each is for one thread, and has others that send. ``close`` it.

    A sender that is killed between sending and noting it leaves the delivery to be sent again, with
    the same id. ``jitter`` returns numbers from 0 to 1.
    """

    def __init__(
        self,
        pool: ConnectionPool[psycopg.Connection],
        post: Post,
        settings: WebhookSettings,
        clock: Callable[[], float],
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._pool = pool
        self._post = post
        self._lease_sec = settings.timeout_sec * _LEASE_FACTOR
        self._give_up_sec = settings.retry_hours * 3600
        self._keep_days = settings.keep_days
        self._clock = clock
        self._jitter = jitter
        self._queries = load_queries("queries/webhooks.sql")
        self._executor = ThreadPoolExecutor(_SENDERS, thread_name_prefix="webhook")
        self._busy: dict[int, Future[Counter[str]]] = {}
        self._outcomes: Counter[str] = Counter()
        self._closing = threading.Event()

    def start_due(self) -> bool:
        """Begin to send what is due of webhooks that nothing is being sent to; False if none is.

        Raises StoreUnavailableError.
        """
        if len(self._busy) >= _SENDERS:
            return False
        with postgres_errors("take deliveries"), self._pool.connection() as conn:
            rows = self._queries.take_due(
                conn,
                busy=list(self._busy),
                webhooks=_SENDERS - len(self._busy),
                each=_AT_ONCE,
                lease_sec=self._lease_sec,
            )
            due = sorted((Due(*row) for row in rows), key=attrgetter("webhook_id", "id"))
        for webhook_id, of_webhook in groupby(due, attrgetter("webhook_id")):
            future = self._executor.submit(self._send_in_turn, list(of_webhook))
            self._busy[webhook_id] = future
        return bool(due)

    def finished(self) -> Counter[str]:
        """Return how many became what, of what has been sent since this was last asked.

        Raises what went wrong with some of them; the others are told next time.
        """
        done = [webhook for webhook, future in self._busy.items() if future.done()]
        futures = [self._busy.pop(webhook) for webhook in done]
        for future in futures:
            if future.exception() is None:
                self._outcomes.update(future.result())
        for future in futures:
            future.result()
        outcomes, self._outcomes = self._outcomes, Counter()
        return outcomes

    def send_due(self) -> Counter[str]:
        """Send what is due, and wait for it; return how many became what.

        Raises StoreUnavailableError.
        """
        self.start_due()
        wait(self._busy.values())
        return self.finished()

    def close(self) -> None:
        """End after the deliveries under way; what was taken and not tried is given back."""
        self._closing.set()
        self._executor.shutdown(wait=True)

    def forget_finished(self) -> int:
        """Drop what was finished long ago; return how many. Raises StoreUnavailableError."""
        with postgres_errors("forget deliveries"), self._pool.connection() as conn:
            forgotten: int = self._queries.forget_finished(conn, keep_days=self._keep_days)
        return forgotten

    def _send_in_turn(self, deliveries: list[Due]) -> Counter[str]:
        """Send what one webhook is owed, up to the first that fails: the others would too."""
        outcomes: Counter[str] = Counter()
        left = list(deliveries)
        delay_sec = 0.0
        while left and not delay_sec and not self._closing.is_set():
            due = left.pop(0)
            state = self._deliver(due)
            outcomes[state] += 1
            if state != DELIVERED:
                delay_sec = self._delay_sec(due)
        if left:
            with postgres_errors("give back deliveries"), self._pool.connection() as conn:
                ids = [due.id for due in left]
                self._queries.give_back(conn, delivery_ids=ids, delay_sec=delay_sec)
        return outcomes

    def _deliver(self, due: Due) -> str:
        sent = self._send(due)
        with postgres_errors("note a delivery"), self._pool.connection() as conn:
            if sent.gone:
                self._queries.pause_gone(
                    conn, webhook_id=due.webhook_id, because="the receiver answered 410 Gone"
                )
            state = self._state_after(due, sent)
            if state == POSTPONED:
                self._queries.postpone(
                    conn, delivery_id=due.id, delay_sec=self._delay_sec(due), answer=sent.answer
                )
            else:
                self._queries.finish(conn, delivery_id=due.id, state=state, answer=sent.answer)
        return state

    def _send(self, due: Due) -> Sent:
        body = due.body.encode()
        headers = signed_headers(due.secret, due.event_id, int(self._clock()), body)
        try:
            answer = self._post(due.url, body, headers)
        except UndeliverableError as exc:
            return Sent(False, str(exc))
        told = f"{answer.status} {_printable(answer.text)}".strip()
        return Sent(200 <= answer.status < 300, told, answer.status == _GONE)

    def _state_after(self, due: Due, sent: Sent) -> str:
        if sent.ok:
            return DELIVERED
        over = due.tried_sec + self._delay_sec(due, 1.0) > self._give_up_sec
        return FAILED if sent.gone or over else POSTPONED

    def _delay_sec(self, due: Due, share: float | None = None) -> float:
        """Return the pause after an attempt: longer each time, and never the same for all."""
        longest = _FIRST_DELAY_SEC
        for _ in range(1, due.attempts):
            longest = min(longest * _GROWTH, _LONGEST_DELAY_SEC)
        return longest * (0.5 + 0.5 * (self._jitter() if share is None else share))


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)
