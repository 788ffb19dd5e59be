"""Clocks that jump, and days that are not 24 hours long: money is neither lost nor given twice."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from adctl.config import MoneySettings
from adctl.control.steering import Pacer
from adctl.delivery.auction import Candidate, ImpAuction
from adctl.delivery.macros import ToldMacros
from adctl.delivery.tokens import BidToken
from adctl.delivery.tracking import track
from adctl.models import BidStrategy, Campaign, Creative, CreativeKind, EventKind, Status
from adctl.stores.auction_ledger import RedisLedger
from adctl.stores.budgets import Budgets, BudgetState
from adctl.stores.catalog import CatalogStore
from adctl.stores.event_intake import EventIntake
from adctl.stores.redis import ClientScripts
from adctl.stores.steering import SteeringStore

if TYPE_CHECKING:
    import redis

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
BUDGET = 10**9
PRICE = 2_000_000
HOUR = timedelta(hours=1)
MONEY = MoneySettings(reservation_ttl_sec=3600, reservation_bucket_sec=60)
CREATIVE = Creative(
    id=1,
    campaign_id=1,
    name="c",
    kind=CreativeKind.BANNER,
    status=Status.ACTIVE,
    landing_url="https://a.example/",
    adomain=("a.example",),
)


class House:
    """A bidder, a tracker and a pacer of one campaign, each with whatever clock it is given."""

    def __init__(self, client: redis.Redis, timezone: str = "UTC") -> None:
        self.campaign = Campaign(
            id=1,
            advertiser_id=1,
            name="c",
            status=Status.ACTIVE,
            bid_strategy=BidStrategy.CPM,
            bid_amount_micros=PRICE,
            daily_budget_nanos=BUDGET,
            total_budget_nanos=10 * BUDGET,
            starts_at=datetime(2000, 1, 1, tzinfo=UTC),
            timezone=timezone,
        )
        scripts = ClientScripts(client)
        self.budgets, catalog = Budgets(client), CatalogStore(client)
        self.pacer = Pacer(catalog, self.budgets, SteeringStore(client))
        self._ledger = RedisLedger(scripts, hold_sec=120)
        self._intake = EventIntake(scripts, hold_sec=120, seen_ttl_sec=86_400)
        self._bids = 0
        catalog.fill([self.campaign])

    def fund(self, day: date) -> None:
        self.budgets.sync(self.campaign, day)

    def bid(self, now: datetime, price: int = PRICE) -> BidToken:
        now_ms = int(now.timestamp() * 1000)
        auction = ImpAuction("1", 0, (Candidate(self.campaign, CREATIVE, price),))
        [verdict] = self._ledger.decide([auction], "", now_ms // 60_000, now_ms)
        assert verdict.winner == 0
        self._bids += 1
        return BidToken(f"{self._bids:024x}", 1, 1, "default", price, now_ms, now_ms // 60_000)

    def show(self, bid: BidToken) -> str:
        told = ToldMacros("", "")
        tracked = track(bid, EventKind.IMPRESSION, EventKind.IMPRESSION, told, bid.bid_at_ms)
        return self._intake.take(tracked)

    @property
    def money(self) -> BudgetState:
        return self.budgets.read([1])[1]


@pytest.fixture
def house(redis_client: redis.Redis) -> House:
    return House(redis_client)


def test_pacer_whose_clock_goes_back_gives_nothing_back_twice_and_keeps_the_day(
    house: House,
) -> None:
    house.fund(NOON.date())
    bid = house.bid(NOON)
    assert house.pacer.expire(NOON + 2 * HOUR, MONEY) == 1
    assert house.pacer.roll_days(NOON + 13 * HOUR) == 1
    for back in (NOON, NOON - 30 * HOUR):
        assert house.pacer.expire(back, MONEY) == 0
        assert house.pacer.roll_days(back) == 0
    money = house.money
    assert (money.reserved, money.available) == (0, 10 * BUDGET)
    assert money.day == "2026-11-02"
    assert house.show(bid) == "late"
    assert house.money.adds_up


def test_day_that_was_begun_too_early_is_not_begun_again(house: House) -> None:
    house.fund(NOON.date())
    assert house.pacer.roll_days(NOON + 24 * HOUR) == 1
    house.show(house.bid(NOON))
    assert house.pacer.roll_days(NOON + 13 * HOUR) == 0
    assert house.money.day_spent == PRICE
    assert house.money.adds_up


@pytest.mark.parametrize("off", [-5 * HOUR, 5 * HOUR])
def test_bid_of_a_clock_that_is_hours_off_is_reserved_settled_and_expired_once(
    house: House, off: timedelta
) -> None:
    house.fund(NOON.date())
    shown, lost = house.bid(NOON + off), house.bid(NOON + off)
    assert house.show(shown) == "taken"
    assert house.money.reserved == PRICE
    for hours in (0, 2, 7, 7):
        house.pacer.expire(NOON + hours * HOUR, MONEY)
    assert (house.money.reserved, house.money.spent) == (0, PRICE)
    assert house.show(lost) == "late"
    assert house.money.adds_up


def test_bids_of_a_minute_that_has_expired_already_take_nothing_from_each_other(
    house: House,
) -> None:
    """A bidder's clock is hours behind the pacer's: its minute expires while it goes on bidding."""
    house.fund(NOON.date())
    dear = house.bid(NOON, price=5_000_000)
    house.pacer.expire(NOON + 5 * HOUR, MONEY)
    cheap = house.bid(NOON, price=3_000_000)
    house.show(dear)
    assert house.money.reserved >= 0
    house.show(cheap)
    house.pacer.expire(NOON + 5 * HOUR, MONEY)
    money = house.money
    assert (money.reserved, money.spent, money.available) == (0, 8_000_000, 10 * BUDGET - 8_000_000)
    assert money.exposed >= 0
    assert money.adds_up


# When each zone's clocks are changed, and the days around it: 23 and 25 hours, midnights that do
# not exist, and one that comes twice.
CHANGES = [
    ("Europe/Berlin", date(2026, 3, 29)),
    ("Europe/Berlin", date(2026, 10, 25)),
    ("America/Sao_Paulo", date(2018, 11, 4)),
    ("America/Sao_Paulo", date(2018, 2, 18)),
    ("Africa/Cairo", date(2026, 4, 24)),
    ("Africa/Cairo", date(2026, 10, 30)),
    ("America/Asuncion", date(2023, 10, 1)),
    ("America/Asuncion", date(2024, 3, 24)),
    ("America/St_Johns", date(2010, 11, 7)),
    ("Pacific/Apia", date(2011, 12, 31)),
]


@pytest.mark.parametrize(("timezone", "changed"), CHANGES)
def test_days_begin_once_each_at_local_midnight_when_clocks_are_changed(
    redis_client: redis.Redis, timezone: str, changed: date
) -> None:
    house, zone = House(redis_client, timezone), ZoneInfo(timezone)
    change = datetime.combine(changed, time(), zone).astimezone(UTC)
    instants = {change + timedelta(minutes=30 * n) for n in range(-96, 144)}
    instants |= {change + timedelta(minutes=n) for n in range(-120, 120)}
    house.fund(min(instants).astimezone(zone).date())
    begun = [
        (date.fromisoformat(house.money.day), now)
        for now in sorted(instants)
        if house.pacer.roll_days(now)
    ]
    days = [day for day, _ in begun]
    assert changed in days
    assert days == sorted(set(days))
    for day, at in begun:
        before = (at - timedelta(minutes=1)).astimezone(zone)
        assert at.astimezone(zone).date() == day
        assert before.date() < day
