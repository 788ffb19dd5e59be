"""Messages a consumer could make nothing of: put aside, looked at, put back."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from adctl.control.once import origin_of
from adctl.errors import ConflictError, NotFoundError
from adctl.models import DeadLetter, DeadLetterReason
from adctl.stores.postgres import postgres_errors
from adctl.stores.retries import Retries
from adctl.streams import topics
from adctl.streams.producer import OutgoingMessage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    import psycopg
    from psycopg_pool import ConnectionPool

    from adctl.control.poison import Poison
    from adctl.streams.consumer import IncomingMessage
    from adctl.streams.producer import ReliableProducer

    Batches = Iterable[Sequence[IncomingMessage]]

_DETAIL_MAX_LENGTH = 500


class Undertaker:
    """Puts messages on the dead-letter topic. For one thread at a time."""

    def __init__(
        self,
        producer: ReliableProducer,
        group: str,
        max_bytes: int,
        now: Callable[[], datetime],
    ) -> None:
        self._producer = producer
        self._group = group
        self._max_bytes = max_bytes
        self._now = now

    def bury(self, cluster_id: str, poison: Iterable[Poison]) -> None:
        """Return once Kafka has confirmed them all. Raises StoreUnavailableError.

        One that is buried again, after a crash or a retry in vain, has the same origin.
        """
        letters = [self._letter(cluster_id, *one) for one in poison]
        self._producer.send(
            [
                OutgoingMessage(
                    topics.DEAD_LETTERS, origin(letter).encode(), msgspec.json.encode(letter)
                )
                for letter in letters
            ]
        )

    def _letter(
        self, cluster_id: str, message: IncomingMessage, reason: DeadLetterReason, detail: str
    ) -> DeadLetter:
        cluster, topic, partition, offset = _split(origin_of(cluster_id, message), message)
        return DeadLetter(
            consumer_group=self._group,
            reason=reason,
            detail=detail[:_DETAIL_MAX_LENGTH],
            cluster_id=cluster or cluster_id,
            topic=topic,
            partition=partition,
            offset=offset,
            buried_at=self._now(),
            key=message.key[: self._max_bytes],
            value=message.value[: self._max_bytes],
            cut=max(len(message.value), len(message.key)) > self._max_bytes,
            stream_id=message.stream_id[:_DETAIL_MAX_LENGTH],
            schema_version=message.schema_version[:_DETAIL_MAX_LENGTH],
        )


def origin(letter: DeadLetter) -> str:
    """Return where the message was first, as ``retried_from`` has it."""
    return f"{letter.cluster_id}/{letter.topic}/{letter.partition}/{letter.offset}"


class Burial(NamedTuple):
    """A dead letter, and whether it has been put back and counted."""

    letter: DeadLetter
    counted: bool

    @property
    def origin(self) -> str:
        """Return TOPIC/PARTITION/OFFSET, by which people name it, and as retry takes it."""
        return f"{self.letter.topic}/{self.letter.partition}/{self.letter.offset}"

    def row(self) -> dict[str, object]:
        """Return what a listing shows."""
        return {
            "origin": self.origin,
            "buried_at": self.letter.buried_at,
            "consumer_group": self.letter.consumer_group,
            "reason": self.letter.reason,
            "detail": self.letter.detail,
            "size_bytes": len(self.letter.value),
            "state": "counted" if self.counted else "cut" if self.letter.cut else "dead",
        }

    def fields(self) -> dict[str, object]:
        """Return everything; key and value as text, with what is no text as escapes."""
        letter = self.letter
        return self.row() | {
            "cluster_id": letter.cluster_id,
            "stream_id": letter.stream_id,
            "schema_version": letter.schema_version,
            "key": letter.key.decode("utf-8", "backslashreplace"),
            "value": letter.value.decode("utf-8", "backslashreplace"),
            "cut": letter.cut,
        }


class Graveyard:
    """The dead letters of one cluster, as ``batches`` of their topic holds them.

    Raises StoreUnavailableError throughout.
    """

    def __init__(
        self, pool: ConnectionPool[psycopg.Connection], cluster_id: str, batches: Batches
    ) -> None:
        found: dict[str, dict[str, DeadLetter]] = defaultdict(dict)  # by group and origin
        for message in (message for batch in batches for message in batch):
            letter = _decode(message.value)
            # A cluster that was replaced has left nothing to put a message back to.
            if letter is not None and letter.cluster_id == cluster_id:
                # The last that a group told of an origin.
                found[letter.consumer_group][origin(letter)] = letter
        self._burials: list[Burial] = []
        with postgres_errors("read retries"), pool.connection() as conn:
            for group, letters in found.items():
                counted = Retries(group).find(conn, letters)
                self._burials += [Burial(one, name in counted) for name, one in letters.items()]
        self._burials.sort(key=lambda burial: (burial.letter.buried_at, burial.origin))

    def burials(self, group: str | None = None) -> list[Burial]:
        """Return every dead letter of a group, or of all, once; oldest first."""
        return [one for one in self._burials if group in (None, one.letter.consumer_group)]

    def find(self, named: str, group: str | None = None) -> Burial:
        """Return the one of an origin, TOPIC/PARTITION/OFFSET.

        Raises NotFoundError; ConflictError if several groups have one and none is named.
        """
        found = self._named(named, group)
        if len(found) > 1:
            groups = " and ".join(sorted(one.letter.consumer_group for one in found))
            raise ConflictError(f"{groups} each have a dead letter {named}: name one with --group")
        return found[0]

    def choose(self, named: Sequence[str], group: str | None = None) -> list[Burial]:
        """Return what can be put back: those named, or all if none is; of a group, or of all.

        Raises NotFoundError for a name, ConflictError for one whose end was cut off.
        """
        chosen = (
            [burial for name in named for burial in self._named(name, group)]
            if named
            else self.burials(group)
        )
        if cut := [burial.origin for burial in chosen if named and burial.letter.cut]:
            raise ConflictError(
                f"only a part was kept of {', '.join(cut)} (consumer.dead_letter_max_bytes)"
            )
        return [burial for burial in chosen if not burial.counted and not burial.letter.cut]

    def _named(self, named: str, group: str | None) -> list[Burial]:
        found = [burial for burial in self.burials(group) if burial.origin == named]
        if not found:
            raise NotFoundError(f"no dead letter {named!r}; `adctl deadletter list` shows them")
        return found


def put_back(producer: ReliableProducer, burials: Iterable[Burial]) -> None:
    """Send messages again to the topics they came from, each for the group that buried it.

    Each origin counts once for a group, however often it is sent.
    Returns once Kafka has confirmed them. Raises StoreUnavailableError.
    """
    producer.send(
        [
            OutgoingMessage(
                letter.topic,
                letter.key,
                letter.value,
                letter.stream_id,
                letter.schema_version or "1",
                origin(letter),
                letter.consumer_group,
            )
            for letter, _ in burials
        ]
    )


def _decode(value: bytes) -> DeadLetter | None:
    try:
        return msgspec.json.decode(value, type=DeadLetter)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _split(told: str, message: IncomingMessage) -> tuple[str, str, int, int]:
    # From the right: nobody says what a cluster's id may hold.
    cluster_id, *place = told.rsplit("/", 3)
    numbered = len(place) == 3 and all(one.isascii() and one.isdecimal() for one in place[1:])
    if numbered and place[0] in topics.ALL:
        return cluster_id, place[0], int(place[1]), int(place[2])
    return "", message.topic, message.partition, message.offset
