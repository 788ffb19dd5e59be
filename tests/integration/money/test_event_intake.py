"""track.lua on a real server: settlement, caps and the stream, in one step."""

from __future__ import annotations

import msgspec
import pytest

from adctl.errors import StoreUnavailableError
from adctl.models import EventKind
from adctl.stores import keys
from adctl.stores.event_intake import EventIntake
from tests.integration.money.desk import BUDGET, NOW_MS, PRICE, USER, Desk


def test_impression_settles_at_the_told_price_and_frees_the_rest(desk: Desk) -> None:
    assert desk.tell(desk.bid(), EventKind.IMPRESSION, "1.5") == "taken"
    money = desk.money
    assert (money.spent, money.reserved, money.day_spent) == (1_500_000, 0, 1_500_000)
    assert money.available == BUDGET - 1_500_000
    assert money.adds_up


def test_loss_frees_money_and_cap_at_once(desk: Desk) -> None:
    bids = [desk.bid() for _ in range(3)]
    assert desk.bid() is None
    desk.tell(bids[0], EventKind.LOSS)
    assert desk.money.reserved == 2 * PRICE
    assert desk.bid() is not None


def test_impression_replaces_its_hold_in_every_window(desk: Desk) -> None:
    desk.tell(desk.bid(), EventKind.IMPRESSION)
    fields = desk.redis.hgetall(keys.user(0, USER))
    assert fields == {
        f"1:3600:{(NOW_MS + 1000) // 450_000}": "1",
        f"1:86400:{(NOW_MS + 1000) // 10_800_000}": "1",
    }


def test_capped_user_is_free_again_when_the_window_has_passed(desk: Desk) -> None:
    for _ in range(3):
        desk.tell(desk.bid(), EventKind.IMPRESSION)
    assert desk.bid(NOW_MS + 3_600_000) is None  # counted in eighths: at most one eighth longer
    assert desk.bid(NOW_MS + 3_600_000 * 9 // 8 + 1000) is not None


def test_win_and_click_move_no_money(desk: Desk) -> None:
    bid = desk.bid()
    desk.tell(bid, EventKind.WIN)
    desk.tell(bid, EventKind.CLICK)
    assert (desk.money.spent, desk.money.reserved) == (0, PRICE)


def test_old_fields_of_a_user_are_pruned(desk: Desk) -> None:
    user = keys.user(0, USER)
    desk.redis.hset(user, mapping={f"9:3600:{n}": 1 for n in range(200)})
    desk.redis.hset(user, "9:h:1", 1)
    desk.tell(desk.bid(), EventKind.IMPRESSION)
    assert len(desk.redis.hgetall(user)) == 2
    assert 0 < desk.redis.ttl(user) <= 86_400 * 9 // 8


@pytest.mark.parametrize("kind", list(EventKind))
def test_event_of_a_test_is_stored_and_changes_neither_money_nor_caps_nor_rates(
    desk: Desk, kind: EventKind
) -> None:
    bid = desk.bid()
    assert bid is not None
    before, held = desk.money, desk.redis.hgetall(keys.user(0, USER))
    test = msgspec.structs.replace(bid, bid_id="ab" * 12, cap_windows=(), test=True)
    assert desk.tell(test, kind) == "taken"
    assert desk.money == before
    assert desk.redis.hgetall(keys.user(0, USER)) == held
    assert desk.redis.hgetall(keys.counters(0, 1)) == {f"test_{kind}": "1"}
    [(event, _)] = desk.stream
    assert (event.test, event.cost_nanos) == (True, 0)


def test_full_stream_takes_nothing_until_it_has_been_emptied(desk: Desk) -> None:
    first, second = desk.bid(), desk.bid()
    assert first is not None
    assert second is not None
    desk.tell(first, EventKind.IMPRESSION)
    desk.intake = EventIntake(desk.scripts, 120, 86_400, stream_max_entries=1)
    before = desk.money
    with pytest.raises(StoreUnavailableError, match="stream is full"):
        desk.tell(second, EventKind.IMPRESSION)
    assert desk.money == before
    # A repeat needs no room.
    assert desk.tell(first, EventKind.IMPRESSION) == "duplicate"
    desk.redis.xtrim(keys.events(0), maxlen=0)
    assert desk.tell(second, EventKind.IMPRESSION) == "taken"
    assert desk.money.reserved == 0
