"""Which of the messages that come again, and there are many ways, have been counted already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adctl.stores.stream_marks import StreamMarks, is_outward_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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


class Reading:
    """Moves positions past messages, in the order of their offsets, and says which are new.

    Not new are messages at offsets that were read; events up to a stream's mark, which a relay
    repeats after a crash; and of messages put back (``retried_from``) those for another group, all
    but one of each origin, and events that a rebuild has counted meanwhile. ``positions`` changes;
    ``retried`` has the origins that have counted, and by which message.
    """

    def __init__(
        self,
        group: str,
        cluster_id: str,
        positions: dict[Partition, PartitionPosition],
        retried: Mapping[str, Place],
    ) -> None:
        self._group = group
        self._cluster_id = cluster_id
        self._positions = positions
        self._marks: dict[Partition, StreamMarks] = {}
        self._retried = dict(retried)
        self._rebuilt = _together(position.rebuilt_marks for position in positions.values())

    def take(self, message: IncomingMessage) -> bool:
        """Move past ``message``; return whether it is to be counted."""
        place = (message.topic, message.partition)
        position = self._positions[place]
        if message.offset < position.next_offset:
            return False
        self._positions[place] = position._replace(next_offset=message.offset + 1)
        if message.retried_from:
            return self._is_first_retry(message)
        if is_outward_id(message.stream_id):
            return self._is_past_the_marks(place, message.stream_id)
        # Before the rewind it may have been a dead letter, and counted when it was put back.
        replayed = position.is_replayed(message.offset)
        return not (replayed and origin_of(self._cluster_id, message) in self._retried)

    def _is_first_retry(self, message: IncomingMessage) -> bool:
        if (message.retried_for or _BEFORE_GROUPS_WERE_NAMED) != self._group:
            return False
        here = (message.partition, message.offset)
        if self._retried.setdefault(message.retried_from, here) != here:
            return False
        # Out of its stream's order, it is no matter for the marks of those who came in order.
        return not is_outward_id(message.stream_id) or StreamMarks(self._rebuilt).advance(
            message.stream_id
        )

    def _is_past_the_marks(self, place: Partition, stream_id: str) -> bool:
        if place not in self._marks:
            self._marks[place] = StreamMarks(self._positions[place].stream_marks)
        marks = self._marks[place]
        is_new = marks.advance(stream_id)
        self._positions[place] = self._positions[place]._replace(stream_marks=str(marks))
        return is_new


def _together(texts: Iterable[str]) -> str:
    marks = StreamMarks()
    for text in texts:
        for outward in text.split():
            marks.advance(outward)
    return str(marks)
