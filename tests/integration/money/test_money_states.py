"""A campaign's money in Redis as buckets expire, days begin, budgets change and memory is lost."""

from __future__ import annotations

from datetime import date

import msgspec

from adctl.models import (
    EventKind,
)
from adctl.stores import keys
from adctl.stores.budgets import Spent
from tests.integration.money.desk import BUDGET, CAPPED, NOW_MS, PRICE, Desk


def test_expired_reservation_is_exposed_until_it_is_billed(desk: Desk) -> None:
    bid, _ = desk.bid(), desk.bid()
    desk.budgets.expire(NOW_MS // 60_000 + 1)
    assert desk.money.exposed == 2 * PRICE
    desk.tell(bid, EventKind.IMPRESSION)
    assert desk.money.exposed == PRICE


def test_expired_reservation_is_no_longer_exposed_once_its_loss_is_told(desk: Desk) -> None:
    bid = desk.bid()
    desk.budgets.expire(NOW_MS // 60_000 + 1)
    desk.tell(bid, EventKind.LOSS)
    assert (desk.money.exposed, desk.money.available) == (0, BUDGET)


def test_expired_reservation_is_exposed_until_its_token_has_run_out(desk: Desk) -> None:
    desk.bid()
    later = NOW_MS // 60_000 + 1
    desk.budgets.expire(later)
    batch_over = (later // keys.EXPOSED_TOGETHER + 1) * keys.EXPOSED_TOGETHER
    assert (desk.budgets.retire(batch_over - 1), desk.money.exposed) == (0, PRICE)
    assert (desk.budgets.retire(batch_over), desk.money.exposed) == (1, 0)
    assert desk.budgets.retire(batch_over) == 0


def test_expiry_gives_back_a_bucket_once(desk: Desk) -> None:
    desk.bid()
    desk.bid()
    later = NOW_MS // 60_000 + 1
    assert (desk.budgets.expire(later), desk.budgets.expire(later)) == (1, 0)
    assert (desk.money.reserved, desk.money.available) == (0, BUDGET)


def test_new_day_holds_what_is_reserved_against_itself(desk: Desk) -> None:
    bid = desk.bid()
    desk.tell(desk.bid(), EventKind.IMPRESSION, "1.5")
    assert desk.budgets.roll_day(1, date(2026, 1, 2))
    money = desk.money
    assert (money.day_spent, money.day_available) == (0, BUDGET - PRICE)
    assert not desk.budgets.roll_day(1, date(2026, 1, 2))
    assert not desk.budgets.roll_day(1, date(2026, 1, 1))
    desk.tell(bid, EventKind.IMPRESSION, "2")
    assert desk.money.day_spent == PRICE
    assert desk.money.adds_up


def test_changed_budget_keeps_what_is_spent_and_reserved(desk: Desk) -> None:
    desk.bid()
    desk.tell(desk.bid(), EventKind.IMPRESSION, "1.5")
    smaller = msgspec.structs.replace(CAPPED, total_budget_nanos=1_000_000, daily_budget_nanos=9)
    assert not desk.budgets.sync(smaller, date(2026, 1, 1))
    money = desk.money
    assert (money.budget, money.spent, money.reserved) == (1_000_000, 1_500_000, PRICE)
    assert money.available < 0
    assert money.adds_up
    assert desk.bid() is None


def test_lost_money_state_is_not_made_up_by_an_event(desk: Desk) -> None:
    bid = desk.bid()
    desk.redis.delete(keys.budget(0, 1))
    assert desk.tell(bid, EventKind.IMPRESSION) == "no_state"
    assert not desk.redis.exists(keys.budget(0, 1))
    assert len(desk.stream) == 1


def test_lost_money_state_is_rebuilt_from_the_ledger_and_what_is_not_flushed(desk: Desk) -> None:
    flushed, unflushed = desk.bid(), desk.bid()
    desk.tell(flushed, EventKind.IMPRESSION, "1.5")
    [(flushed_id, _)] = desk.redis.xrange(keys.events(0))
    desk.redis.delete(keys.budget(0, 1))
    desk.tell(unflushed, EventKind.IMPRESSION, "0.5")
    assert desk.budgets.sync(
        CAPPED, date(2026, 1, 1), Spent(1_500_000, 1_500_000, 0, (flushed_id,))
    )
    assert (desk.money.spent, desk.money.day_spent) == (2_000_000, 2_000_000)
    assert desk.money.adds_up


def test_lost_money_state_is_rebuilt_with_what_is_still_reserved_and_exposed(desk: Desk) -> None:
    desk.bid()
    desk.budgets.expire(NOW_MS // 60_000 + 1)
    bid = desk.bid(NOW_MS + 60_000)
    before = desk.money
    desk.redis.delete(keys.budget(0, 1))
    desk.budgets.sync(CAPPED, date(2026, 1, 1))
    assert desk.money == before
    assert desk.tell(bid, EventKind.IMPRESSION) == "taken"
    assert (desk.money.reserved, desk.money.exposed) == (0, PRICE)


def test_wrong_money_state_can_be_made_anew(desk: Desk) -> None:
    desk.tell(desk.bid(), EventKind.IMPRESSION, "1.5")
    desk.bid()
    before = desk.money
    for field in ("available", "spent", "reserved", "exposed", "day_spent"):
        desk.redis.hincrby(keys.budget(0, 1), field, 7)
    desk.budgets.sync(CAPPED, date(2026, 1, 1))
    assert desk.money != before
    desk.budgets.sync(CAPPED, date(2026, 1, 1), anew=True)
    assert desk.money == before
