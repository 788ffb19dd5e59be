"""Ending in time: what a daemon is at in PostgreSQL does not keep it from stopping."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

from adctl.errors import StoreUnavailableError
from adctl.stores.postgres import interrupt

if TYPE_CHECKING:
    from collections.abc import Iterator

log = structlog.get_logger()

_GRACE_SEC = 0.5
_CANCEL_SEC = 0.5
_AGAIN_SEC = 0.1
_CONNECT_SEC = 2


@contextmanager
def cut_off(
    stop: threading.Event, postgres_url: str, grace_sec: float = _GRACE_SEC
) -> Iterator[None]:
    """Let what is inside end soon after ``stop`` is set, whatever it waits for in PostgreSQL.

    It has ``grace_sec`` to end by itself. Then its statements are cancelled, and half a second
    later its connections closed, again and again until it is over: all it does there is in
    transactions, which are undone and done again by whoever comes next.
    """
    over = threading.Event()
    thread = threading.Thread(
        target=_watch, args=[stop, over, postgres_url, grace_sec], name="cut-off", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        over.set()


def _watch(
    stop: threading.Event, over: threading.Event, postgres_url: str, grace_sec: float
) -> None:
    while not stop.wait(1.0):
        if over.is_set():
            return
    hang_up_at = time.monotonic() + grace_sec + _CANCEL_SEC
    if over.wait(grace_sec):
        return
    ended = 0
    while not over.is_set():
        try:
            ended += interrupt(postgres_url, _CONNECT_SEC, hang_up=time.monotonic() >= hang_up_at)
        except StoreUnavailableError as exc:
            log.warning("could not end statements", error=str(exc))
        over.wait(_AGAIN_SEC)
    if ended:
        log.info("ended statements to stop in time", times=ended)
