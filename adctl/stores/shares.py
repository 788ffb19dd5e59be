"""A campaign's money as its shards hold it: read apart, and put together again."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from adctl.stores.budgets import BudgetState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# What is summed up over shards; all other fields of a state are those of the whole.
_SUMMED = tuple(name for name in BudgetState.__struct_fields__ if name not in ("day", "cut"))


class Transfer(NamedTuple):
    """Money on its way from one shard to another, in nanos, of the flight and of ``day``."""

    source: int
    target: int
    number: int
    nanos: int
    day_nanos: int
    day: str


class Shares:
    """One campaign's shares, by shard. Only of a campaign all of whose shards are there."""

    def __init__(self, hashes: Sequence[Mapping[str, str]]) -> None:
        self._hashes = hashes
        self._first = hashes[0]
        self.epoch = self._first["epoch"]
        self.states = [BudgetState.from_hash(fields) for fields in hashes]

    @classmethod
    def of(cls, hashes: Sequence[Mapping[str, str]]) -> Shares | None:
        """Return the shares these budget hashes hold; None unless all belong together."""
        epochs = {fields.get("epoch") for fields in hashes}
        joined = len(epochs) == 1 and hashes[0].get("joined") == "1"
        return cls(hashes) if joined else None

    def on_their_way(self) -> list[Transfer]:
        """Return the transfers that have been taken and not forgotten, given or not."""
        return [
            Transfer(source, int(name[3:]), *_transfer(text))
            for source, fields in enumerate(self._hashes)
            for name, text in fields.items()
            if name.startswith("to:")
        ]

    @property
    def owes(self) -> bool:
        """Whether any share is overdrawn, as the first is when a budget was lowered."""
        return any(min(state.available, state.day_available) < 0 for state in self.states)

    @property
    def add_up(self) -> bool:
        """Whether shares and transfers come to the campaign's budgets.

        They always do; but shards are not read in the same moment.
        """
        whole = self._sum()
        return whole.budget == self._total and whole.day_budget == self._day_total

    def whole(self) -> BudgetState:
        """Return the campaign's money, with the budgets it should have."""
        return msgspec.structs.replace(self._sum(), budget=self._total, day_budget=self._day_total)

    @property
    def _total(self) -> int:
        return int(self._first["total"])

    @property
    def _day_total(self) -> int:
        return int(self._first["day_total"])

    def _sum(self) -> BudgetState:
        sums = {name: sum(getattr(state, name) for state in self.states) for name in _SUMMED}
        for transfer in self._undelivered():
            sums["budget"] += transfer.nanos
            sums["available"] += transfer.nanos
            sums["day_budget"] += transfer.day_nanos
            sums["day_available"] += transfer.day_nanos
        return BudgetState(
            **sums, day=min(state.day for state in self.states), cut=self._cut(sums["available"])
        )

    def _undelivered(self) -> Iterator[Transfer]:
        for transfer in self.on_their_way():
            newest = self._hashes[transfer.target].get(f"from:{transfer.source}", "0")
            if transfer.number > int(newest):
                yield transfer

    def _cut(self, available: int) -> int:
        # A shard may be over its share while the whole is not over its budget.
        return min(sum(state.cut for state in self.states), max(0, -available))


def _transfer(text: str) -> tuple[int, int, int, str]:
    number, nanos, day_nanos, day = text.split(" ")
    return int(number), int(nanos), int(day_nanos), day
