"""What the scripts must make of bids, events and the clock, told again in plain Python.

Nothing here talks to Redis: the state machine of test_money_machine.py does the same to both, and
compares.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from adctl.delivery import reasons
from adctl.delivery.pricing import second_price_cpm_micros
from adctl.delivery.tracking import Ending, TrackedEvent
from adctl.models import EventKind
from adctl.stores.budgets import BudgetState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from adctl.models import FrequencyCap

RESERVED, EXPOSED, GONE = "reserved", "exposed", "gone"
_WON = (EventKind.WIN, EventKind.BILL, EventKind.IMPRESSION)


@dataclass
class ModelBid:
    """One bid: where its money is, and what it has been told of."""

    id: str
    campaign_id: int
    price_nanos: int
    bucket: int
    where: str = RESERVED
    told_micros: dict[EventKind, int] = field(default_factory=dict)
    ended: bool = False
    billed: bool = False
    unheld: bool = False


@dataclass
class ModelMoney:
    """One campaign's money, but for what follows from its bids."""

    budget: int
    day_budget: int
    day: str
    spent: int = 0
    day_spent: int = 0
    late: int = 0
    cut: int = 0


@dataclass
class StreamedEvent:
    """What the stream holds of an event, as far as money is concerned."""

    event_id: str
    campaign_id: int
    cost_nanos: int
    verdict: str
    late: bool


def _spent(campaign_id: int, events: Iterable[StreamedEvent]) -> tuple[int, int]:
    """Return what a campaign's events cost, and what those that came late did."""
    those = [event for event in events if event.campaign_id == campaign_id]
    late = sum(event.cost_nanos for event in those if event.late)
    return sum(event.cost_nanos for event in those), late


class MoneyModel:
    """All campaigns, bids, users and the ledger."""

    def __init__(self, hold_sec: int) -> None:
        self._hold_ms = hold_sec * 1000
        self.money: dict[int, ModelMoney] = {}
        self.bids: dict[str, ModelBid] = {}
        self.stream: list[StreamedEvent] = []
        self.flushed = 0
        self.ledger: dict[str, StreamedEvent] = {}
        self._from_before: set[int] = set()
        self._shown: Counter[tuple[str, int, int, int]] = Counter()
        self._held: Counter[tuple[str, int, int]] = Counter()

    # --- what is known of a campaign ---

    def _sum_of(self, campaign_id: int, where: str) -> int:
        return sum(
            bid.price_nanos
            for bid in self.bids.values()
            if bid.campaign_id == campaign_id and bid.where == where
        )

    def state(self, campaign_id: int) -> BudgetState | None:
        """Return what the campaign's hash must hold; None if there must be none."""
        money = self.money.get(campaign_id)
        if money is None:
            return None
        reserved = self._sum_of(campaign_id, RESERVED)
        return BudgetState(
            budget=money.budget,
            available=money.budget - money.spent - reserved,
            reserved=reserved,
            spent=money.spent,
            day=money.day,
            day_budget=money.day_budget,
            day_available=money.day_budget - money.day_spent - reserved,
            day_spent=money.day_spent,
            late=money.late,
            exposed=self._sum_of(campaign_id, EXPOSED),
            cut=money.cut,
        )

    # --- bids ---

    def decide(
        self,
        candidates: Sequence[tuple[int, int]],
        floor_micros: int,
        caps: dict[int, FrequencyCap],
        user: str,
        now_ms: int,
    ) -> tuple[int | None, int, list[str]]:
        """Return the winner's place, its price and every candidate's reason.

        ``candidates`` are campaign ids and bids, dearest first.
        """
        winner: int | None = None
        runner_up: int | None = None
        found = []
        for place, (campaign_id, bid_micros) in enumerate(candidates):
            if runner_up is not None:
                found.append(reasons.NOT_NEEDED)
                continue
            reason = self._verdict(campaign_id, bid_micros, caps.get(campaign_id), user, now_ms)
            if reason == reasons.OUTBID and winner is None:
                winner, reason = place, reasons.WON
            elif reason == reasons.OUTBID:
                runner_up = place
            found.append(reason)
        if winner is None:
            return None, 0, found
        second = None if runner_up is None else candidates[runner_up][1]
        price = second_price_cpm_micros(candidates[winner][1], second, floor_micros)
        return winner, price, found

    def _verdict(
        self, campaign_id: int, bid_micros: int, cap: FrequencyCap | None, user: str, now_ms: int
    ) -> str:
        if cap and self._counted(user, campaign_id, cap.window_sec, now_ms) >= cap.limit:
            return reasons.FREQUENCY_CAP
        state = self.state(campaign_id)
        if state is None:
            return reasons.NO_MONEY_STATE
        if state.available < bid_micros:
            return reasons.TOTAL_BUDGET
        return reasons.DAY_BUDGET if state.day_available < bid_micros else reasons.OUTBID

    def _counted(self, user: str, campaign_id: int, window_sec: int, now_ms: int) -> int:
        eighth, hold = now_ms // (window_sec * 125), now_ms // self._hold_ms
        shown = sum(self._shown[user, campaign_id, window_sec, eighth - back] for back in range(9))
        return shown + sum(self._held[user, campaign_id, hold - back] for back in range(2))

    def reserve(self, bid: ModelBid, *, user: str, now_ms: int) -> None:
        """Take in a bid; ``user`` is '' where no cap is counted."""
        self.bids[bid.id] = bid
        if user:
            self._held[user, bid.campaign_id, now_ms // self._hold_ms] += 1

    # --- events ---

    def take(self, tracked: TrackedEvent) -> str:
        """Apply an event; return the verdict."""
        event, bid = tracked.event, self.bids[tracked.event.bid_id]
        if event.kind in bid.told_micros:
            same = bid.told_micros[event.kind] == event.price_cpm_micros
            return "duplicate" if same else "repriced"
        verdict, late = self._money_of(tracked, bid)
        if tracked.held_at_ms and verdict != "after_win" and not bid.unheld:
            bid.unheld = True
            held = (event.user_hash, bid.campaign_id, tracked.held_at_ms // self._hold_ms)
            self._held[held] = max(0, self._held[held] - 1)
        for window_sec in tracked.counted_windows:
            eighth = event.occurred_at_ms // (window_sec * 125)
            self._shown[event.user_hash, bid.campaign_id, window_sec, eighth] += 1
        bid.told_micros[event.kind] = event.price_cpm_micros
        self.stream.append(
            StreamedEvent(
                event.event_id,
                bid.campaign_id,
                0 if verdict == "rebilled" else event.cost_nanos,
                verdict,
                late,
            )
        )
        return verdict

    def _money_of(self, tracked: TrackedEvent, bid: ModelBid) -> tuple[str, bool]:
        """Return the verdict, and whether the event was billed without a reservation."""
        kind, money = tracked.event.kind, self.money.get(bid.campaign_id)
        verdict = "taken"
        won = any(event in bid.told_micros for event in _WON)
        if kind is EventKind.LOSS and won:
            verdict = "after_win"
        elif kind is not EventKind.LOSS and EventKind.LOSS in bid.told_micros:
            verdict = "after_loss"
        elif kind is EventKind.BILL and not won:
            verdict = "unwon"
        if tracked.ending is Ending.SETTLE:
            if bid.billed:
                return "rebilled", False
            bid.billed = True
            if money is None:
                return "no_state", True
            late = not self._end(bid)
            cost = tracked.event.cost_nanos
            money.spent += cost
            money.day_spent += cost
            money.late += cost if late else 0
            return ("late" if late and verdict != "after_loss" else verdict), late
        if tracked.ending is Ending.RELEASE and money is not None and verdict == "taken":
            self._end(bid)
        return verdict, False

    @staticmethod
    def _end(bid: ModelBid) -> bool:
        """End a bid's reservation; whether it still had one."""
        if bid.ended:
            return False
        had, bid.ended, bid.where = bid.where == RESERVED, True, GONE
        return had

    # --- the clock ---

    def expire(self, before_bucket: int) -> None:
        """Give back the reservations of older buckets."""
        for bid in self.bids.values():
            if bid.where == RESERVED and bid.bucket < before_bucket:
                # Reservations of a campaign without a money state are just forgotten.
                bid.where = EXPOSED if bid.campaign_id in self.money else GONE

    def retire(self, before_bucket: int) -> None:
        """Forget what older buckets had exposed, an hour of them at a time."""
        for bid in self.bids.values():
            batch_end = (bid.bucket // 60 + 1) * 60
            if bid.where == EXPOSED and batch_end <= before_bucket:
                bid.where = GONE

    def roll_day(self, campaign_id: int, day: str) -> None:
        """Begin a day, unless it has begun."""
        money = self.money.get(campaign_id)
        if money is not None and money.day < day:
            money.day, money.day_spent = day, 0

    # --- budgets, the ledger, and Redis losing its memory ---

    def spent_in_ledger(self, campaign_id: int) -> tuple[int, int]:
        """Return what PostgreSQL has booked for a campaign, each event once; and how much late."""
        return _spent(campaign_id, self.ledger.values())

    def flush(self, count: int) -> None:
        """Move the next events of the stream to the ledger, which takes each id once."""
        for event in self.stream[self.flushed : self.flushed + count]:
            self.ledger.setdefault(event.event_id, event)
        self.flushed = min(self.flushed + count, len(self.stream))

    def sync(self, campaign_id: int, budget: int, day_budget: int, day: str) -> None:
        """Create a campaign's money from the ledger and the stream, or change its budget.

        All that was spent according to the ledger counts as the day's. Money that was made before
        a restart is made anew.
        """
        money = self.money.get(campaign_id)
        if money is None or campaign_id in self._from_before:
            self._from_before.discard(campaign_id)
            booked, booked_late = self.spent_in_ledger(campaign_id)
            coming, coming_late = _spent(campaign_id, self.stream[self.flushed :])
            spent, late = booked + coming, booked_late + coming_late
            self.money[campaign_id] = ModelMoney(budget, day_budget, day, spent, spent, late)
            self._note_cut(campaign_id)
            return
        changed = money.budget != budget
        money.budget, money.day_budget = budget, day_budget
        if changed:
            self._note_cut(campaign_id)

    def _note_cut(self, campaign_id: int) -> None:
        state = self.state(campaign_id)
        assert state is not None
        self.money[campaign_id].cut = max(0, -state.available - state.late)

    def restart(self) -> None:
        """Redis has come back with everything, but nobody can know that."""
        self._from_before = set(self.money)

    def empty(self) -> None:
        """Redis has lost everything: money, reservations, users, the stream."""
        self.money, self._from_before = {}, set()
        self.stream, self.flushed = [], 0
        self._shown.clear()
        self._held.clear()
        for bid in self.bids.values():
            bid.where = GONE
            bid.told_micros = {}
            bid.ended = bid.billed = bid.unheld = False
