"""Which impressions PostgreSQL has, for who must not know it sooner than it is so."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Self

import psycopg

if TYPE_CHECKING:
    from types import TracebackType

_EVERY_SEC = 0.5
_QUERY = "SELECT event_id FROM event WHERE kind = 'impression'"


class StoredImpressions:
    """Asks several times a second, from a thread of its own, and says what it knew last."""

    def __init__(self, postgres_url: str) -> None:
        self._postgres_url = postgres_url
        self._ids: frozenset[str] = frozenset()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stored", daemon=True)

    def __contains__(self, event_id: str) -> bool:
        """Whether PostgreSQL has the event."""
        return event_id in self._ids

    def __enter__(self) -> Self:
        """Begin to ask."""
        self._thread.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _exc: BaseException | None,
        _where: TracebackType | None,
    ) -> None:
        """Stop asking."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            # It is not there yet, or has been killed.
            with suppress(psycopg.Error), psycopg.connect(self._postgres_url) as postgres:
                while not self._stop.wait(_EVERY_SEC):
                    self._ids = frozenset(found for (found,) in postgres.execute(_QUERY))
                    postgres.commit()
            self._stop.wait(_EVERY_SEC)
