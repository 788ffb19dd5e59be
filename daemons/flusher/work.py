"""What the flusher does at each tick."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import structlog

from adctl.control.flushing import FlushedBatch, together

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from adctl.control.flushing import Flusher
    from adctl.control.relaying import Relay
    from daemons.flusher.metrics import FlusherMetrics

log = structlog.get_logger()

# Batches in a row before a tick ends, so that a flood does not keep the process from stopping.
_MAX_BATCHES = 200
MOST_TOGETHER = 5000
"""Events in one transaction at most, unless flusher.batch_size is more."""


def growing(batch_size: int) -> Iterator[int]:
    """Yield how much to take at a time: twice as much after every batch that was full.

    Who is behind catches up by thousands; what comes steadily goes out in batches as configured.
    """
    size = batch_size
    while True:
        yield size
        size = max(batch_size, min(2 * size, MOST_TOGETHER))


def drain_growing(flusher: Flusher, batch_size: int) -> FlushedBatch:
    """Flush until nothing is left; return all of it. Raises StoreUnavailableError."""
    flushed = FlushedBatch()
    for size, then in itertools.pairwise(growing(batch_size)):
        batch = flusher.flush_once(size, then)
        flushed += batch
        if batch.read < size:
            break
    return flushed


class FlusherWork:
    """The flusher's jobs, for one shard's stream after the other. Each is run by one thread."""

    def __init__(
        self,
        streams: Sequence[tuple[Flusher, Relay]],
        batch_size: int,
        metrics: FlusherMetrics,
    ) -> None:
        self._streams = streams
        self._batch_size = batch_size
        self._metrics = metrics

    def flush(self) -> None:
        """Write what has come, batch after batch until one is not full."""
        for flusher, _ in self._streams:
            self._flush(flusher)

    def _flush(self, flusher: Flusher) -> None:
        if moved := flusher.recover_stream():
            log.warning("the event stream had lost its past and was renumbered", entries=moved)
        sizes = itertools.pairwise(growing(self._batch_size))
        for size, then in itertools.islice(sizes, _MAX_BATCHES):
            with self._metrics.batch_seconds.time():
                batch = flusher.flush_once(size, then)
            self._count(batch)
            if batch.read < size:
                return

    def relay(self) -> None:
        """Send to Kafka what PostgreSQL has."""
        for _, relay in self._streams:
            for size in itertools.islice(growing(self._batch_size), _MAX_BATCHES):
                sent = relay.relay_once(size)
                self._metrics.relayed.inc(sent)
                if not sent:
                    break

    def trim(self) -> None:
        """Forget what the streams need not hold any longer, whether or not anything came."""
        for flusher, _ in self._streams:
            flusher.trim()

    def measure(self) -> None:
        """Take the measures that Prometheus alarms on."""
        status = together([flusher.status() for flusher, _ in self._streams])
        self._metrics.stream_entries.set(status.entries)
        self._metrics.unflushed_age.set(status.unflushed_age_sec)
        self._metrics.unrelayed_age.set(status.unrelayed_age_sec)

    def _count(self, batch: FlushedBatch) -> None:
        self._metrics.entries.labels("stored").inc(batch.stored)
        self._metrics.entries.labels("duplicate").inc(batch.duplicates)
        self._metrics.entries.labels("rejected").inc(batch.rejected)
        self._metrics.booked_nanos.inc(batch.booked_nanos)
        if batch.rejected:
            log.error("events rejected; `adctl rejected list` shows them", entries=batch.rejected)
