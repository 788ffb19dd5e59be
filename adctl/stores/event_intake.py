"""track.lua as the tracker calls it: an event and all its consequences, in one script."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from adctl.delivery.frequency_cap import bucket_field, hold_field
from adctl.stores import keys
from adctl.stores.auction_ledger import RunScript
from adctl.stores.redis import Script

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adctl.delivery.tracking import TrackedEvent
    from adctl.errors import StoreUnavailableError
    from adctl.stores.redis import Call


class RunScripts(RunScript, Protocol):
    """The same, also for several calls at once."""

    def run_all(self, script: Script, calls: Sequence[Call]) -> list[Any]:
        """Return the replies, in order; StoreUnavailableError in the place of a missing one."""


class EventIntake:
    """Takes tracked events into Redis. ``seen_ttl_sec`` must outlast every token of a bucket."""

    def __init__(self, scripts: RunScripts, hold_sec: int, seen_ttl_sec: int) -> None:
        self._scripts = scripts
        self._hold_sec = hold_sec
        self._seen_ttl_sec = seen_ttl_sec
        self._track = Script("track")
        self._encode = msgspec.json.Encoder().encode

    def take(self, tracked: TrackedEvent) -> str:
        """Apply ``tracked``; return what became of it, in the words of track.lua.

        Repeats change nothing.

        Raises StoreUnavailableError when the outcome is not known; taking it again is safe.
        """
        verdict: str = self._scripts.run(self._track, *self._call(tracked))
        return verdict

    def take_all(self, events: Sequence[TrackedEvent]) -> list[str | StoreUnavailableError]:
        """Take events in their order, in one round trip; return what became of each.

        StoreUnavailableError stands where ``take`` would raise it.
        """
        return self._scripts.run_all(self._track, [self._call(tracked) for tracked in events])

    def _call(self, tracked: TrackedEvent) -> Call:
        event = tracked.event
        campaign_id, shard = event.campaign_id, tracked.shard
        held_at_ms, seen_at_ms = tracked.held_at_ms, event.occurred_at_ms
        hold = hold_field(campaign_id, self._hold_sec, held_at_ms) if held_at_ms else ""
        longest_sec = max(tracked.counted_windows, default=0) * 9 // 8
        return (
            [
                keys.seen(shard, tracked.bucket),
                keys.budget(shard, campaign_id),
                keys.reservations(shard, tracked.bucket),
                keys.user(shard, event.user_hash),
                keys.counters(shard, campaign_id),
                keys.events(shard),
                keys.exposed(shard, tracked.bucket // keys.EXPOSED_TOGETHER),
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
                *(
                    bucket_field(campaign_id, window_sec, seen_at_ms)
                    for window_sec in tracked.counted_windows
                ),
            ],
        )
