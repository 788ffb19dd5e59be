"""The next batch of the event stream, made ready while PostgreSQL stores the last one."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from adctl.errors import StoreUnavailableError
from adctl.stores.event_rows import EventRow, UnstorableEventError
from adctl.stores.stream import EventStream, StreamEntry, UnusableEntryError


class Batch(NamedTuple):
    """Entries of the stream, oldest first; the rows of those that are events, and the others.

    ``refused`` says of each of the others what is wrong with it.
    """

    entries: Sequence[StreamEntry] = ()
    rows: Sequence[EventRow] = ()
    refused: Sequence[tuple[StreamEntry, str]] = ()


class _Ahead(NamedTuple):
    asked: tuple[str, int]
    batch: Future[Batch]


class ReadAhead:
    """Reads one stream, and the batch after that in a thread of its own where it is told to.

    For one thread at a time.
    """

    def __init__(self, stream: EventStream) -> None:
        self._stream = stream
        self._thread: ThreadPoolExecutor | None = None
        self._ahead: _Ahead | None = None

    def take(self, after_id: str, count: int) -> Batch:
        """Return at most ``count`` entries that follow ``after_id``. Raises StoreUnavailableError.

        What was read ahead is taken only if it is just that, and full, and in the stream still.
        """
        ahead, self._ahead = self._ahead, None
        if ahead and ahead.asked == (after_id, count):
            batch = _result(ahead.batch)
            if len(batch.entries) == count and self._holds(batch.entries[-1]):
                return batch
        return self._read(after_id, count)

    def prepare(self, after_id: str, count: int) -> None:
        """Begin to read what the next call of ``take`` will ask for."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="read-ahead")
        batch = self._thread.submit(self._read, after_id, count)
        self._ahead = _Ahead((after_id, count), batch)

    def _read(self, after_id: str, count: int) -> Batch:
        entries = self._stream.read(after_id, count)
        rows: list[EventRow] = []
        refused: list[tuple[StreamEntry, str]] = []
        for entry in entries:
            try:
                rows.append(EventRow.of(entry.id, entry.decode()))
            except (UnusableEntryError, UnstorableEventError) as exc:
                refused.append((entry, str(exc)))
        return Batch(entries, rows, refused)

    def _holds(self, entry: StreamEntry) -> bool:
        """Return whether the stream has this entry in this place.

        One that lost its memory and was renumbered may have others there, which would be skipped.
        """
        return self._stream.get(entry.id) == entry


def _result(batch: Future[Batch]) -> Batch:
    try:
        return batch.result()
    except StoreUnavailableError:
        return Batch()
