"""What event streams hold of campaigns' spend that the ledger does not know yet.

Read once for many campaigns: how long it takes grows with the events, or with the campaigns, never
with both.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

import msgspec

from adctl.stores.budgets import Streamed
from adctl.stores.stream import ORIGIN, id_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from adctl.stores.stream import EventStream, StreamEntry

_READ = 500


class _Told(msgspec.Struct):
    campaign_id: int
    cost_nanos: int = 0
    test: bool = False


_decode = msgspec.json.Decoder(_Told).decode


class _Costs:
    """One stream's, by campaign; entries that the ledger has come to know are passed over."""

    def __init__(self, stream: EventStream) -> None:
        self._stream = stream
        self.upto_id = ORIGIN
        # Of each campaign: the orders of its entries, and the sums up to and with each.
        self._orders: dict[int, list[tuple[int, int]]] = {}
        self._sums: dict[int, list[tuple[int, int]]] = {}

    def read(self, flushed_id: str) -> bool:
        """Read what follows ``flushed_id``; False if some of that is forgotten by now."""
        self.upto_id = max(self.upto_id, flushed_id, key=id_order)
        entries = self._stream.read(self.upto_id, _READ)
        while entries:
            for entry in entries:
                self._add(entry)
            self.upto_id = entries[-1].id
            entries = self._stream.read(self.upto_id, _READ) if len(entries) == _READ else []
        return id_order(self._stream.trimmed_id()) <= id_order(flushed_id)

    def of(self, campaign_id: int, flushed_id: str) -> Streamed:
        sums = self._sums.get(campaign_id)
        if sums is None:
            return Streamed(0, 0, self.upto_id)
        known = bisect_right(self._orders[campaign_id], id_order(flushed_id)) - 1
        nanos, late_nanos = sums[-1]
        if known >= 0:
            nanos, late_nanos = nanos - sums[known][0], late_nanos - sums[known][1]
        return Streamed(nanos, late_nanos, self.upto_id)

    def _add(self, entry: StreamEntry) -> None:
        # As sync_budget.lua counts them. What was rejected counts where it waits to be booked.
        if entry.retried or entry.fields.get(b"odd") == b"rebilled":
            return
        try:
            told = _decode(entry.fields.get(b"e", b""))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return
        if told.test or not told.cost_nanos:
            return
        late_nanos = told.cost_nanos if entry.fields.get(b"late") == b"1" else 0
        sums = self._sums.setdefault(told.campaign_id, [])
        before = sums[-1] if sums else (0, 0)
        sums.append((before[0] + told.cost_nanos, before[1] + late_nanos))
        self._orders.setdefault(told.campaign_id, []).append(id_order(entry.id))


class StreamCosts:
    """Of all shards. For one thread, and for as long as many campaigns' money is made."""

    def __init__(self, streams: Iterable[EventStream]) -> None:
        self._costs = [_Costs(stream) for stream in streams]

    def read(self, flushed_ids: Sequence[str]) -> bool:
        """Read what follows where the ledger is in each stream, as far as it was not read yet.

        False if a stream no longer holds all of that: the ledger has moved on since it was read.
        Raises StoreUnavailableError.
        """
        whole = [
            costs.read(flushed_id)
            for costs, flushed_id in zip(self._costs, flushed_ids, strict=True)
        ]
        return all(whole)

    def of(self, campaign_id: int, flushed_ids: Sequence[str]) -> tuple[Streamed, ...]:
        """Return what each stream holds of a campaign beyond where the ledger is in it."""
        return tuple(
            costs.of(campaign_id, flushed_id)
            for costs, flushed_id in zip(self._costs, flushed_ids, strict=True)
        )
