"""track.lua on a real server: deduplication, settlement, caps and the stream, in one step."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from adctl.delivery.auction import Candidate, ImpAuction
from adctl.delivery.macros import ToldMacros
from adctl.delivery.oddities import RULES
from adctl.delivery.tokens import BidToken
from adctl.delivery.tracking import track
from adctl.models import (
    BidStrategy,
    Campaign,
    Creative,
    CreativeKind,
    Event,
    EventKind,
    FrequencyCap,
    Status,
)
from adctl.resources import REDIS_SCRIPTS
from adctl.stores import keys
from adctl.stores.auction_ledger import RedisLedger
from adctl.stores.budgets import Budgets, BudgetState
from adctl.stores.event_intake import EventIntake
from adctl.stores.stream import EventStream

if TYPE_CHECKING:
    from collections.abc import Sequence

    import redis

    from adctl.stores.redis import Script

NOW_MS = 1_767_225_600_000
USER = "ab" * 16
BUDGET = 10**10
PRICE = 2_000_000
CAPPED = Campaign(
    id=1,
    advertiser_id=1,
    name="capped",
    status=Status.ACTIVE,
    bid_strategy=BidStrategy.CPM,
    bid_amount_micros=PRICE,
    daily_budget_nanos=BUDGET,
    total_budget_nanos=BUDGET,
    starts_at=datetime(2025, 1, 1, tzinfo=UTC),
    caps=(FrequencyCap(3, 3600), FrequencyCap(9, 86_400)),
)
BANNER = Creative(
    id=1,
    campaign_id=1,
    name="c",
    kind=CreativeKind.BANNER,
    status=Status.ACTIVE,
    landing_url="https://a.example/",
    adomain=("a.example",),
)


class PlainScripts:
    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def run(self, script: Script, keys: Sequence[str], args: Sequence[str | int]) -> Any:
        return script.run(self._client, keys, args)


class Desk:
    """Bids and events of one campaign, billed at the impression."""

    def __init__(self, client: redis.Redis) -> None:
        self.redis = client
        self.budgets = Budgets(client)
        self.ledger = RedisLedger(PlainScripts(client), hold_sec=120)
        self.intake = EventIntake(PlainScripts(client), hold_sec=120, seen_ttl_sec=86_400)
        self._bids = 0
        self.budgets.sync(CAPPED, date(2026, 1, 1), 0, 0)

    def bid(self, now_ms: int = NOW_MS) -> BidToken | None:
        auction = ImpAuction("1", 0, (Candidate(CAPPED, BANNER, PRICE, CAPPED.caps),))
        bucket = now_ms // 60_000
        [verdict] = self.ledger.decide([auction], USER, bucket, now_ms)
        if verdict.winner is None:
            return None
        self._bids += 1
        return BidToken(
            bid_id=f"{self._bids:024x}",
            campaign_id=1,
            creative_id=1,
            exchange="default",
            price_cpm_micros=verdict.price_cpm_micros,
            bid_at_ms=now_ms,
            bucket=bucket,
            user_hash=USER,
            cap_windows=tuple(cap.window_sec for cap in CAPPED.caps),
        )

    def tell(
        self, bid: BidToken | None, kind: EventKind, price: str = "1.5", now_ms: int = NOW_MS + 1000
    ) -> str:
        assert bid is not None
        return self.intake.take(track(bid, kind, EventKind.IMPRESSION, ToldMacros(price), now_ms))

    @property
    def money(self) -> BudgetState:
        return self.budgets.read([1])[1]

    @property
    def stream(self) -> list[tuple[Event, str]]:
        return [
            (msgspec.json.decode(fields["e"], type=Event), fields["late"])
            for _, fields in self.redis.xrange(keys.events(0))
        ]


@pytest.fixture
def desk(redis_client: redis.Redis) -> Desk:
    return Desk(redis_client)


def test_impression_settles_at_the_told_price_and_frees_the_rest(desk: Desk) -> None:
    assert desk.tell(desk.bid(), EventKind.IMPRESSION, "1.5") == "taken"
    money = desk.money
    assert (money.spent, money.reserved, money.day_spent) == (1_500_000, 0, 1_500_000)
    assert money.available == BUDGET - 1_500_000
    assert money.adds_up


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
    assert (desk.budgets.retire(later - 1), desk.money.exposed) == (0, PRICE)
    assert (desk.budgets.retire(later), desk.money.exposed) == (1, 0)
    assert desk.budgets.retire(later) == 0


def test_loss_after_the_impression_gives_nothing_back(desk: Desk) -> None:
    bid = desk.bid()
    desk.tell(bid, EventKind.IMPRESSION, "1.5")
    desk.tell(bid, EventKind.LOSS)
    assert desk.money.spent == 1_500_000
    assert desk.money.adds_up


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
    assert not desk.budgets.sync(smaller, date(2026, 1, 1), 0, 0)
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
    assert desk.budgets.sync(CAPPED, date(2026, 1, 1), 1_500_000, 1_500_000, flushed_id)
    assert (desk.money.spent, desk.money.day_spent) == (2_000_000, 2_000_000)
    assert desk.money.adds_up


def test_lost_money_state_is_rebuilt_with_what_is_still_reserved_and_exposed(desk: Desk) -> None:
    desk.bid()
    desk.budgets.expire(NOW_MS // 60_000 + 1)
    bid = desk.bid(NOW_MS + 60_000)
    before = desk.money
    desk.redis.delete(keys.budget(0, 1))
    desk.budgets.sync(CAPPED, date(2026, 1, 1), 0, 0)
    assert desk.money == before
    assert desk.tell(bid, EventKind.IMPRESSION) == "taken"
    assert (desk.money.reserved, desk.money.exposed) == (0, PRICE)


def test_wrong_money_state_can_be_made_anew(desk: Desk) -> None:
    desk.tell(desk.bid(), EventKind.IMPRESSION, "1.5")
    desk.bid()
    before = desk.money
    for field in ("available", "spent", "reserved", "exposed", "day_spent"):
        desk.redis.hincrby(keys.budget(0, 1), field, 7)
    desk.budgets.sync(CAPPED, date(2026, 1, 1), 0, 0)
    assert desk.money != before
    desk.budgets.sync(CAPPED, date(2026, 1, 1), 0, 0, anew=True)
    assert desk.money == before


def test_old_fields_of_a_user_are_pruned(desk: Desk) -> None:
    user = keys.user(0, USER)
    desk.redis.hset(user, mapping={f"9:3600:{n}": 1 for n in range(200)})
    desk.redis.hset(user, "9:h:1", 1)
    desk.tell(desk.bid(), EventKind.IMPRESSION)
    assert len(desk.redis.hgetall(user)) == 2
    assert 0 < desk.redis.ttl(user) <= 86_400 * 9 // 8


steps = st.lists(
    st.tuples(
        st.sampled_from(["bid", "impression", "loss", "win", "click", "expire", "roll", "budget"]),
        st.integers(0, 30),
    ),
    max_size=40,
)


@given(steps)
@hypothesis_settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_money_adds_up_after_any_sequence_of_steps(
    redis_client: redis.Redis, steps: list[tuple[str, int]]
) -> None:
    redis_client.flushdb()
    desk = Desk(redis_client)
    bids: list[BidToken] = []
    now_ms, day = NOW_MS, 1
    for step, number in steps:
        now_ms += 1000 * number
        match step:
            case "bid":
                if (bid := desk.bid(now_ms)) is not None:
                    bids.append(bid)
            case "expire":
                desk.budgets.expire(now_ms // 60_000)
            case "roll":
                day = min(day + number % 2, 31)
                desk.budgets.roll_day(1, date(2026, 1, day))
            case "budget":
                total = BUDGET + number * 10**9
                changed = msgspec.structs.replace(CAPPED, total_budget_nanos=total)
                desk.budgets.sync(changed, date(2026, 1, 1), 0, 0)
            case _ if bids:
                desk.tell(bids[number % len(bids)], EventKind(step), f"{number / 10}", now_ms)
        money = desk.money
        assert money.adds_up
        assert money.reserved >= 0
        assert money.exposed >= 0
        assert money.spent <= money.budget + money.late


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
