"""Events that should not have come, or not now, or not so: what track.lua does about each."""

from __future__ import annotations

import re

from adctl.delivery.macros import ToldMacros
from adctl.delivery.oddities import RULES
from adctl.delivery.tracking import track
from adctl.models import (
    EventKind,
)
from adctl.resources import REDIS_SCRIPTS
from adctl.stores import keys
from adctl.stores.stream import EventStream
from tests.integration.money.desk import NOW_MS, PRICE, USER, Desk


def test_repeated_event_changes_nothing(desk: Desk) -> None:
    bid = desk.bid()
    desk.tell(bid, EventKind.IMPRESSION)
    before = (desk.money, desk.stream, desk.redis.hgetall(keys.user(0, USER)))
    assert desk.tell(bid, EventKind.IMPRESSION) == "duplicate"
    assert (desk.money, desk.stream, desk.redis.hgetall(keys.user(0, USER))) == before


def test_repeat_that_tells_another_price_changes_nothing_and_is_told_apart(desk: Desk) -> None:
    bid = desk.bid()
    desk.tell(bid, EventKind.IMPRESSION, "1.5")
    before = (desk.money, desk.stream)
    assert desk.tell(bid, EventKind.IMPRESSION, "1.6") == "repriced"
    assert (desk.money, desk.stream) == before


def test_impression_after_expiry_is_booked_as_late(desk: Desk) -> None:
    bid = desk.bid()
    assert desk.budgets.expire(NOW_MS // 60_000 + 1) == 1
    assert desk.money.reserved == 0
    assert desk.tell(bid, EventKind.IMPRESSION, "1.5") == "late"
    money = desk.money
    assert (money.spent, money.late) == (1_500_000, 1_500_000)
    assert money.adds_up
    assert desk.stream[-1][1] == "1"


def test_impression_after_a_loss_is_booked_as_late(desk: Desk) -> None:
    bid = desk.bid()
    desk.tell(bid, EventKind.LOSS)
    assert desk.tell(bid, EventKind.IMPRESSION, "1.5") == "after_loss"
    money = desk.money
    assert (money.spent, money.late, money.exposed) == (1_500_000, 1_500_000, 0)
    assert money.adds_up


def test_loss_told_after_the_win_releases_nothing(desk: Desk) -> None:
    bid = desk.bid()
    desk.tell(bid, EventKind.WIN)
    assert desk.tell(bid, EventKind.LOSS) == "after_win"
    assert desk.money.reserved == PRICE
    assert desk.tell(bid, EventKind.IMPRESSION) == "after_loss"
    assert (desk.money.reserved, desk.money.late) == (0, 0)


def test_billing_notice_before_any_win_is_told_apart_and_booked(desk: Desk) -> None:
    bid = desk.bid()
    assert bid is not None
    billed = track(bid, EventKind.BILL, EventKind.BILL, ToldMacros(price="1.5"), NOW_MS + 1000)
    assert desk.intake.take(billed) == "unwon"
    assert (desk.money.spent, desk.money.late) == (1_500_000, 0)


def test_price_above_the_bid_is_clamped_and_told_apart(desk: Desk) -> None:
    desk.tell(desk.bid(), EventKind.IMPRESSION, "9")
    [entry] = EventStream(desk.redis).read("0-0", 9)
    assert (entry.decode().cost_nanos, entry.decode().odd) == (PRICE, "above_bid")


def test_every_verdict_of_the_script_has_a_rule() -> None:
    script = (REDIS_SCRIPTS / "track.lua").read_text()
    verdicts = set(re.findall(r"verdict = (?:true, )?'(\w+)'", script)) | {"duplicate", "repriced"}
    assert verdicts - {"taken"} | {"no_state", "above_bid"} == set(RULES)


def test_bid_is_billed_once_whatever_event_is_made_to_bill(desk: Desk) -> None:
    bid = desk.bid()
    desk.tell(bid, EventKind.IMPRESSION, "1.5")
    assert bid is not None
    again = track(bid, EventKind.BILL, EventKind.BILL, ToldMacros("1.5"), NOW_MS + 2000)
    assert desk.intake.take(again) == "rebilled"
    assert (desk.money.spent, desk.money.adds_up) == (1_500_000, True)
    entry = EventStream(desk.redis).read("0-0", 9)[-1]
    assert (entry.decode().cost_nanos, entry.decode().odd) == (0, "rebilled")


def test_loss_after_the_impression_gives_nothing_back(desk: Desk) -> None:
    bid = desk.bid()
    desk.tell(bid, EventKind.IMPRESSION, "1.5")
    desk.tell(bid, EventKind.LOSS)
    assert desk.money.spent == 1_500_000
    assert desk.money.adds_up
