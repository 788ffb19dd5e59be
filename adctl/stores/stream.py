"""The Redis stream of tracked events: the buffer between the tracker and PostgreSQL.

Stream ids (``"<ms>-<seq>"``) grow with every entry; compare them as ``id_order`` does, never as
text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from redis.client import NEVER_DECODE

from adctl.models import Event
from adctl.stores import keys
from adctl.stores.budgets import SHARD
from adctl.stores.redis import Script, redis_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    import redis

# The position before the first entry of any stream.
ORIGIN = "0-0"
# The field of an entry that was made of a rejected one: its name.
_RETRIED = b"rejected"
# track.lua's words for an event there is nothing to say of, and for a bid that was billed already.
_TAKEN, _REBILLED = b"taken", b"rebilled"
_DECODE = msgspec.json.Decoder(Event).decode


class UnusableEntryError(ValueError):
    """A stream entry that is no event; the message says why."""


class StreamEntry(msgspec.Struct, frozen=True, gc=False):
    """One entry as it came. What it holds may be anything; ``decode`` finds out."""

    id: str
    fields: dict[bytes, bytes]

    def decode(self) -> Event:
        """Return the event with what the tracking script knew of it: late, odd, and its cost.

        A test costs nothing, nor does a second billing of one bid. Raises UnusableEntryError.
        """
        try:
            event = _DECODE(self.fields[b"e"])
        except KeyError:
            raise UnusableEntryError("there is no field e") from None
        except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
            raise UnusableEntryError(str(exc)) from exc
        late, verdict = self.fields.get(b"late") == b"1", self.fields.get(b"odd", _TAKEN)
        if late is event.late and verdict == _TAKEN and not event.test:
            return event
        return msgspec.structs.replace(
            event,
            late=late,
            odd=event.odd if verdict == _TAKEN else verdict.decode("ascii", "replace"),
            cost_nanos=0 if event.test or verdict == _REBILLED else event.cost_nanos,
        )

    @property
    def retried(self) -> str:
        """The name of the rejected entry it was made of; '' for one as it came.

        The cost of such a one waits in that entry, and counts there until it is booked.
        """
        return self.fields.get(_RETRIED, b"").decode("ascii", "replace")

    @property
    def raw(self) -> bytes:
        """What there is of the event, for whoever looks into why it was refused."""
        return self.fields.get(b"e") or repr(self.fields).encode()


def id_order(stream_id: str) -> tuple[int, int]:
    """Return what stream ids are ordered by; an empty one stands before all."""
    ms, _, seq = (stream_id or ORIGIN).partition("-")
    return int(ms), int(seq)


class EventStream:
    """The stream of one shard. Safe to share between threads."""

    def __init__(self, client: redis.Redis, shard: int = SHARD) -> None:
        self.shard = shard
        self.key = keys.events(shard)
        self._trimmed = keys.trimmed(shard)
        self._flushed = keys.flushed(shard)
        self._redis = client
        self._trim = Script("trim_stream")
        self._renumber = Script("renumber_stream")
        self._append_again = Script("append_again")

    def read(self, after_id: str, count: int, upto_id: str = "+") -> list[StreamEntry]:
        """Return at most ``count`` entries that follow ``after_id``, oldest first."""
        return self._range(f"({after_id}", upto_id, count)

    def get(self, stream_id: str) -> StreamEntry | None:
        """Return the entry with this id, None if there is none."""
        return next(iter(self._range(stream_id, stream_id, 1)), None)

    def _range(self, first: str, last: str, count: int) -> list[StreamEntry]:
        # Undecoded: one entry that is not UTF-8 must not make the others unreadable.
        replies: list[tuple[bytes, dict[bytes, bytes]]] = self._execute(
            "read the event stream",
            "XRANGE",
            self.key,
            first,
            last,
            "COUNT",
            count,
            undecoded=True,
        )
        return [StreamEntry(stream_id.decode(), fields) for stream_id, fields in replies]

    def trim(self, upto_id: str, server: str = "") -> int:
        """Remove every entry up to and including ``upto_id``; return how many there were.

        Only for entries that PostgreSQL has confirmed; not beyond where it was trimmed before, and
        only in the ``server`` of that run id, if it is told. Repeating it changes nothing.
        """
        ms, seq = id_order(upto_id)
        removed: int = self._trim.run(
            self._redis, [self.key, self._trimmed], [upto_id, f"{ms}-{seq + 1}", server]
        )
        return removed

    def trimmed_id(self) -> str:
        """Return the id up to which entries were trimmed, ORIGIN if none ever was."""
        trimmed: str | None = self._execute("read what was trimmed", "GET", self._trimmed)
        return trimmed or ORIGIN

    def tell_flushed(self, upto_id: str) -> None:
        """Let trackers know up to which id PostgreSQL has the events."""
        self._execute("tell what was flushed", "SET", self._flushed, upto_id)

    def length(self) -> int:
        """Return the number of entries that have not been trimmed."""
        length: int = self._execute("measure the event stream", "XLEN", self.key)
        return length

    def last_id(self) -> str:
        """Return the newest id the stream has given out, trimmed entries included."""
        with redis_errors("look at the event stream"):
            if not self._redis.exists(self.key):
                return ORIGIN
            return str(self._redis.xinfo_stream(self.key)["last-generated-id"])

    def age_sec(self, after_id: str) -> float:
        """Return the age of the oldest entry that follows ``after_id``; 0 if there is none."""
        entries = self.read(after_id, 1)
        if not entries:
            return 0.0
        with redis_errors("ask for its time"):
            seconds, micros = self._redis.time()
        appended_ms = id_order(entries[0].id)[0]
        return max(0.0, seconds + micros / 1e6 - appended_ms / 1e3)

    def renumber(self, after_id: str) -> int:
        """Give new ids, all beyond ``after_id``, to a stream whose ids start below it.

        A Redis that lost its memory while its clock went back gives out ids that readers hold for
        old. One script; returns how many entries were renumbered.
        """
        moved: int = self._renumber.run(self._redis, [self.key], [after_id])
        return moved

    def retry(self, raw: bytes, *, late: bool, odd: str, name: str) -> str:
        """Append an event that was rejected, under that ``name``; return its id."""
        fields = ("e", raw, "late", str(int(late)), "odd", odd, _RETRIED, name)
        with redis_errors("append to the event stream"):
            reply: str = self._redis.execute_command("XADD", self.key, "*", *fields)
        return reply

    def append_again(self, after_id: str, entry_ids: Sequence[str]) -> int:
        """Give entries new ids, beyond ``after_id`` and all others; return how many there were."""
        moved: int = self._append_again.run(self._redis, [self.key], [after_id, *entry_ids])
        return moved

    def _execute(self, doing: str, *command: str | int, undecoded: bool = False) -> Any:
        options: dict[str, Any] = {NEVER_DECODE: True} if undecoded else {}
        with redis_errors(doing):
            return self._redis.execute_command(*command, **options)


def event_streams(client: redis.Redis, shards: int) -> list[EventStream]:
    """Return all shards' event streams."""
    return [EventStream(client, shard) for shard in range(shards)]


def stream_keys(shards: int) -> list[str]:
    """Return the keys of all shards' event streams."""
    return [keys.events(shard) for shard in range(shards)]
