"""Which of the messages that come again, and there are many ways, have been counted already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adctl.stores.stream_marks import StreamMarks, is_outward_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from adctl.stores.offsets import PartitionPosition
    from adctl.streams.consumer import IncomingMessage

    Partition = tuple[str, int]
    Place = tuple[int, int]


# Messages put back when there was but one group do not say for whom.
_BEFORE_GROUPS_WERE_NAMED = "analytics"


def origin_of(cluster_id: str, message: IncomingMessage) -> str:
    """Return where a message was first: ``CLUSTER/TOPIC/PARTITION/OFFSET``."""
    here = f"{cluster_id}/{message.topic}/{message.partition}/{message.offset}"
    return message.retried_from or here


class Rebuilt:
    """The events that were last counted from PostgreSQL's own rows, and so count no more.

    Those that ``positions`` tell of, and those of ``parts``: hours or days, each made anew with the
    events up to its marks.
    """

    def __init__(
        self, positions: Iterable[PartitionPosition], parts: Mapping[datetime, str]
    ) -> None:
        self._marks = StreamMarks()
        self._since_ms = 0
        for position in positions:
            for outward in position.rebuilt_marks.split():
                self._marks.advance(outward)
            if position.rebuilt_since is not None:
                self._since_ms = int(position.rebuilt_since.timestamp() * 1000)
        self._parts = {_ms(part): StreamMarks(upto) for part, upto in parts.items()}

    def covers(self, stream_id: str, occurred_at_ms: int, part_ms: int) -> bool:
        """Return whether an event of a part was among them. Cheap where nothing was rebuilt."""
        if self._marks and occurred_at_ms >= self._since_ms and self._marks.covers(stream_id):
            return True
        upto = self._parts.get(part_ms) if self._parts else None
        return upto is not None and upto.covers(stream_id)


class Reading:
    """Moves positions past messages, in the order of their offsets, and says which are new.

    Not new are messages at offsets that were read; events up to a stream's mark, which a relay
    repeats after a crash; and of messages put back (``retried_from``) all but one of each origin.
    ``retried`` has the origins that have counted, and by which message. What is put back for
    another group has counted for this one.
    """

    def __init__(
        self,
        group: str,
        cluster_id: str,
        positions: Mapping[Partition, PartitionPosition],
        retried: Mapping[str, Place],
    ) -> None:
        self._group = group
        self._cluster_id = cluster_id
        self._positions = positions
        self._next = {place: position.next_offset for place, position in positions.items()}
        self._marks: dict[Partition, StreamMarks] = {}
        self._retried = dict(retried)

    def take(self, message: IncomingMessage) -> bool:
        """Move past ``message``; return whether it is to be counted."""
        place = (message.topic, message.partition)
        if message.offset < self._next[place]:
            return False
        self._next[place] = message.offset + 1
        if message.retried_from:
            if (message.retried_for or _BEFORE_GROUPS_WERE_NAMED) != self._group:
                return False
            # Out of its stream's order, it is no matter for the marks of those who came in order.
            here = (message.partition, message.offset)
            return self._retried.setdefault(message.retried_from, here) == here
        if is_outward_id(message.stream_id):
            return self._marks_of(place).advance(message.stream_id)
        # Before the rewind it may have been a dead letter, and counted when it was put back.
        replayed = self._positions[place].is_replayed(message.offset)
        return not (replayed and origin_of(self._cluster_id, message) in self._retried)

    def moved(self, place: Partition) -> PartitionPosition:
        """Return the position behind everything that was taken of a partition."""
        position = self._positions[place]._replace(next_offset=self._next[place])
        marks = self._marks.get(place)
        return position if marks is None else position._replace(stream_marks=str(marks))

    def _marks_of(self, place: Partition) -> StreamMarks:
        if place not in self._marks:
            self._marks[place] = StreamMarks(self._positions[place].stream_marks)
        return self._marks[place]


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
