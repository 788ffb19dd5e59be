"""track.lua and claim.lua as the tracker calls them: an event and all its consequences at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

from adctl.delivery.frequency_cap import bucket_field, hold_field
from adctl.errors import StoreUnavailableError
from adctl.models import Event, EventKind
from adctl.stores import keys
from adctl.stores.redis import Script

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adctl.delivery.tracking import TrackedEvent
    from adctl.stores.redis import ScriptCall

_NOT_KEPT = frozenset({"repriced", "unattributed"})
_TOUCHES = {EventKind.CLICK: "click", EventKind.IMPRESSION: "view"}
_MS = 1000


class RunScripts(Protocol):
    """Whatever runs scripts."""

    def run(self, script: Script, keys: Sequence[str], args: Sequence[str | int | bytes]) -> Any:
        """Return the reply. Raises StoreUnavailableError when it is missing."""

    def run_all(self, calls: Sequence[ScriptCall]) -> list[Any]:
        """Return the replies, in order; StoreUnavailableError in the place of a missing one."""


class Journal(Protocol):
    """Where events are written that Redis has."""

    def keep(self, events: Sequence[TrackedEvent]) -> None:
        """Write events, and return when that is done. Never raises."""


class NoJournal:
    """A journal that keeps nothing."""

    def keep(self, events: Sequence[TrackedEvent]) -> None:
        """Keep nothing."""


class Windows(NamedTuple):
    """How long after a click, or a view, a user's conversion counts for it; 0: it does not."""

    click_sec: int = 0
    view_sec: int = 0


NO_WINDOWS = Windows()
NO_LIMIT = 2**53
_FULL = "full"


class _Touch(msgspec.Struct, omit_defaults=True):
    """What of an event a conversion is counted for: the bid's part of the conversion's event."""

    event_date: str
    bid_id: str
    campaign_id: int
    creative_id: int
    exchange: str
    bid_cpm_micros: int = 0
    site: str = ""
    country: str = ""
    device: str = ""


class EventIntake:
    """Takes tracked events into Redis. ``seen_ttl_sec`` must outlast every token of a bucket.

    A stream of ``stream_max_entries`` takes no more until the flusher has caught up: it shares its
    memory with the budgets. What Redis has is in the ``journal`` too before anybody is told: also a
    repeat, because whoever told it first may have been killed before it was written. Not one that
    tells another price: what was told first is what counts.
    """

    def __init__(
        self,
        scripts: RunScripts,
        hold_sec: int,
        seen_ttl_sec: int,
        windows: Windows = NO_WINDOWS,
        stream_max_entries: int = NO_LIMIT,
        journal: Journal | None = None,
    ) -> None:
        self._scripts = scripts
        self._hold_sec = hold_sec
        self._seen_ttl_sec = seen_ttl_sec
        self._windows = windows
        self._stream_max_entries = stream_max_entries
        self._journal = journal or NoJournal()
        self._track = Script("track")
        self._claim = Script("claim")
        self._encode = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder(Event).decode

    def take(self, tracked: TrackedEvent) -> str:
        """Apply ``tracked``; return what became of it, in the words of the scripts.

        Repeats change nothing.

        Raises StoreUnavailableError when the stream is full, or the outcome is not known; taking it
        again is safe.
        """
        told: str | list[str] = self._scripts.run(*self._call(tracked))
        if told == _FULL:
            raise _full()
        if isinstance(told, list):
            told, tracked = self._resolved(told, tracked)
        elif tracked.claimed_by:
            return told
        if told not in _NOT_KEPT:
            self._journal.keep((tracked,))
        return told

    def take_all(self, events: Sequence[TrackedEvent]) -> list[str | StoreUnavailableError]:
        """Take events in their order, in one round trip; return what became of each.

        StoreUnavailableError stands where ``take`` would raise it.
        """
        verdicts: list[str | StoreUnavailableError] = []
        kept: list[TrackedEvent] = []
        for tracked, told in zip(events, self._told(events), strict=True):
            if isinstance(told, list):
                verdict, resolved = self._resolved(told, tracked)
                verdicts.append(verdict)
                kept.append(resolved)
                continue
            verdicts.append(told)
            lost = tracked.claimed_by or isinstance(told, StoreUnavailableError)
            if not lost and told not in _NOT_KEPT:
                kept.append(tracked)
        if kept:
            self._journal.keep(kept)
        return verdicts

    def retake_all(self, events: Sequence[TrackedEvent]) -> list[str | StoreUnavailableError]:
        """Take events that the journal has, and keeps; as take_all does otherwise."""
        return [told[0] if isinstance(told, list) else told for told in self._told(events)]

    def _told(
        self, events: Sequence[TrackedEvent]
    ) -> list[str | list[str] | StoreUnavailableError]:
        told = self._scripts.run_all([self._call(tracked) for tracked in events])
        return [_full() if verdict == _FULL else verdict for verdict in told]

    def _resolved(self, told: Sequence[str], claimed: TrackedEvent) -> tuple[str, TrackedEvent]:
        """Return what became of a claim, and the claim with the event that it turned out to be."""
        verdict, json = told
        return verdict, msgspec.structs.replace(claimed, event=self._decode(json))

    def _call(self, tracked: TrackedEvent) -> ScriptCall:
        return self._claim_call(tracked) if tracked.claimed_by else self._track_call(tracked)

    def _track_call(self, tracked: TrackedEvent) -> ScriptCall:
        event = tracked.event
        campaign_id, shard = event.campaign_id, tracked.shard
        held_at_ms, seen_at_ms = tracked.held_at_ms, event.occurred_at_ms
        hold = hold_field(campaign_id, self._hold_sec, held_at_ms) if held_at_ms else ""
        longest_sec = max(tracked.counted_windows, default=0) * 9 // 8
        return (
            self._track,
            [
                keys.seen(shard, tracked.bucket),
                keys.budget(shard, campaign_id),
                keys.reservations(shard, tracked.bucket),
                keys.user(shard, event.user_hash),
                keys.counters(shard, campaign_id),
                keys.events(shard),
                keys.exposed(shard, tracked.bucket // keys.EXPOSED_TOGETHER),
                keys.touches(shard, event.user_hash),
            ],
            [
                event.event_id,
                event.bid_id,
                # Apart, so that nobody's rates are steered by tests.
                f"test_{event.kind}" if event.test else event.kind,
                campaign_id,
                self._encode(event).decode(),
                self._seen_ttl_sec,
                tracked.ending,
                tracked.reserved_nanos,
                event.cost_nanos,
                self._hold_sec,
                hold,
                seen_at_ms,
                longest_sec,
                event.price_cpm_micros,
                *self._touch(event),
                self._stream_max_entries,
                *(
                    bucket_field(campaign_id, window_sec, seen_at_ms)
                    for window_sec in tracked.counted_windows
                ),
            ],
        )

    def _touch(self, event: Event) -> tuple[str, str, int]:
        """Return the field, value and TTL of what a user's conversion may be counted for."""
        kind = _TOUCHES.get(event.kind)
        window_sec = self._windows.click_sec if kind == "click" else self._windows.view_sec
        anonymous = not (event.user_hash and event.advertiser_id)
        if kind is None or not window_sec or anonymous or event.test:
            return "", "", 0
        part = _Touch(
            event.event_date,
            event.bid_id,
            event.campaign_id,
            event.creative_id,
            event.exchange,
            event.bid_cpm_micros,
            event.site,
            event.country,
            event.device,
        )
        json = self._encode(part)[1:-1].decode()
        value = f"{event.occurred_at_ms} {event.bid_id} {event.campaign_id} {json}"
        return f"{event.advertiser_id}:{kind}", value, max(self._windows)

    def _claim_call(self, tracked: TrackedEvent) -> ScriptCall:
        event, shard = tracked.event, tracked.shard
        # In the journal it has its bid.
        resolved = (self._encode(event).decode(), event.campaign_id, event.bid_id)
        told = msgspec.to_builtins(event)
        for name in (*_Touch.__struct_fields__, "event_id"):
            told.pop(name, None)
        return (
            self._claim,
            [keys.touches(shard, event.user_hash), keys.events(shard)],
            [
                tracked.claimed_by,
                event.event_id.rpartition(":")[2],
                event.occurred_at_ms,
                self._windows.click_sec * _MS,
                self._windows.view_sec * _MS,
                self._encode(told)[1:-1].decode(),
                keys.counters(shard, ""),
                self._stream_max_entries,
                max(1, *self._windows),
                *(resolved if event.bid_id else ("", 0, "")),
                event.attribution,
            ],
        )


def _full() -> StoreUnavailableError:
    return StoreUnavailableError("the event stream is full: PostgreSQL or Kafka is far behind")
