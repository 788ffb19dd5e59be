"""Prepaid advertisers on real stores: bids, events and the ledger, and never more than was paid."""

from __future__ import annotations

import dataclasses
import random
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from adctl.control import accounting, advertisers, campaigns
from adctl.control.flushing import Flusher
from adctl.control.funding import Funding
from adctl.control.plane import ControlPlane, open_plane
from adctl.control.proving import Prover
from adctl.control.publishing import read_documents, sync_all
from adctl.delivery.auction import Candidate, ImpAuction
from adctl.delivery.macros import ToldMacros
from adctl.delivery.tokens import BidToken
from adctl.delivery.tracking import track
from adctl.models import EventKind
from adctl.money import format_nanos
from adctl.stores.auction_ledger import RedisLedger
from adctl.stores.event_intake import EventIntake
from adctl.stores.ledger import read_balances
from adctl.stores.redis import ClientScripts
from adctl.stores.sharded_budgets import open_budgets
from adctl.stores.stream import EventStream
from tests.integration.house import CREATIVE, PRICE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import psycopg
    import redis
    from psycopg_pool import ConnectionPool

    from adctl.config import Settings
    from adctl.control.daemon_process import DaemonProcess
    from adctl.stores.budgets import BudgetState

TOLD = "1.5"  # what exchanges bill of the 2.00 that are bid
COST = 1_500_000


class Shop:
    """A prepaid advertiser with campaigns that bid and are billed through the real scripts."""

    def __init__(
        self,
        plane: ControlPlane,
        pool: ConnectionPool[psycopg.Connection],
        client: redis.Redis,
        *,
        fee_percent: str = "0",
        names: tuple[str, ...] = ("Spring", "Autumn"),
        shards: int = 1,
    ) -> None:
        self.shards = shards
        self.plane, self.pool, self.redis = plane, pool, client
        fields = {"name": "Acme", "prepaid": True, "fee_percent": fee_percent}
        advertisers.create(plane, "ann", fields)
        wanted = {"advertiser": "Acme", "budget": "50", "bid": "2.00"}
        self.ids = [
            campaigns.create(plane, "ann", {**wanted, "name": name}).view.id for name in names
        ]
        self.funding = Funding(pool, plane)
        self.flusher = Flusher(pool, EventStream(client))
        scripts = ClientScripts(client)
        self._ledger = RedisLedger(scripts, hold_sec=120, shards=shards)
        self._intake = EventIntake(scripts, hold_sec=120, seen_ttl_sec=86_400)
        self._bids = 0
        with pool.connection() as conn:
            documents = read_documents(conn, self.ids, datetime.now(UTC))
        self._campaigns = {one.campaign.id: one.campaign for one in documents}

    def deposit(self, nanos: int, reference: str = "bank-1") -> None:
        paid = {"amount": format_nanos(nanos), "reference": reference}
        accounting.deposit(self.plane, "ann", "Acme", paid)

    def bid(self, campaign_id: int) -> BidToken | None:
        now_ms = time.time_ns() // 1_000_000
        candidate = Candidate(self._campaigns[campaign_id], CREATIVE, PRICE)
        [verdict] = self._ledger.decide(
            [ImpAuction("1", 0, (candidate,))], "", now_ms // 60_000, now_ms
        )
        if verdict.winner is None or verdict.winner != 0:
            return None
        self._bids += 1
        return BidToken(
            bid_id=f"{self._bids:024x}",
            campaign_id=campaign_id,
            creative_id=1,
            exchange="default",
            price_cpm_micros=PRICE,
            bid_at_ms=now_ms,
            bucket=now_ms // 60_000,
            shard=verdict.shard,
        )

    def bill(self, token: BidToken, told: str = TOLD) -> None:
        billed = track(
            token,
            EventKind.IMPRESSION,
            EventKind.IMPRESSION,
            ToldMacros(price=told),
            token.bid_at_ms + 1000,
        )
        self._intake.take(billed)

    def lose(self, token: BidToken) -> None:
        lost = track(
            token, EventKind.LOSS, EventKind.IMPRESSION, ToldMacros(), token.bid_at_ms + 1000
        )
        self._intake.take(lost)

    def money(self) -> dict[int, BudgetState]:
        return self.plane.budgets.read(self.ids)

    def committed(self) -> int:
        return sum(one.spent + one.reserved for one in self.money().values())

    def balance(self) -> int:
        self.flusher.drain(100)
        with self.pool.connection() as conn:
            return read_balances(conn, [1])[1]

    def serving(self) -> set[int]:
        return self.plane.catalog.active_ids() or set()


@pytest.fixture
def plane(settings: Settings, postgres: psycopg.Connection) -> Iterator[ControlPlane]:
    with open_plane(settings) as plane:
        yield plane


@pytest.fixture
def shop(
    plane: ControlPlane, pool: ConnectionPool[psycopg.Connection], redis_client: redis.Redis
) -> Shop:
    shop = Shop(plane, pool, redis_client)
    sync_all(pool, plane.catalog, plane.budgets)
    return shop


def test_campaigns_of_an_advertiser_that_has_paid_nothing_do_not_serve(shop: Shop) -> None:
    assert shop.funding.fund() == 0
    assert shop.serving() == set()
    assert shop.bid(1) is None
    assert campaigns.show(shop.plane, 1).serving == "no_balance"


def test_a_deposit_lets_them_serve_at_the_next_look(shop: Shop) -> None:
    shop.deposit(1_000_000_000)
    assert shop.funding.fund() == 1
    assert shop.serving() == {1, 2}
    assert campaigns.show(shop.plane, 1).serving == "no active creative"
    assert shop.bid(1)
    assert [one.budget for one in shop.money().values()] == [500_000_000, 500_000_000]


def test_a_postpaid_advertiser_is_left_alone(shop: Shop) -> None:
    advertisers.update(shop.plane, "ann", "Acme", {"prepaid": False})
    assert shop.funding.fund() == 0
    assert shop.serving() == {1, 2}
    assert [one.budget for one in shop.money().values()] == [50_000_000_000] * 2


def test_becoming_prepaid_takes_the_money_away_at_once(shop: Shop) -> None:
    advertisers.update(shop.plane, "ann", "Acme", {"prepaid": False})
    advertisers.update(shop.plane, "ann", "Acme", {"prepaid": True})
    assert shop.bid(1) is None
    assert shop.serving() == set()


def test_bids_and_billing_never_exceed_what_was_paid(shop: Shop) -> None:
    paid = 300 * PRICE
    shop.deposit(paid)
    chance = random.Random(7)
    waiting: list[BidToken] = []
    bids = 0
    for step in range(900):
        if step % 30 == 0:
            shop.funding.fund()
        if step % 50 == 0:
            shop.flusher.drain(100)
        # One campaign gets nearly all the requests; the money has to go where they are.
        if token := shop.bid(1 if chance.random() < 0.9 else 2):
            waiting.append(token)
            bids += 1
        if waiting and chance.random() < 0.9:
            token = waiting.pop(chance.randrange(len(waiting)))
            chance.choice([shop.bill, shop.lose, shop.bill])(token)
        assert shop.committed() <= paid
    for token in waiting:
        shop.bill(token, "2.00")
    assert bids > 300
    # Late ones there are none, so the balance is what was paid less what was billed, and above 0.
    assert 0 <= shop.balance() == paid - shop.committed()


def test_shards_together_never_exceed_what_was_paid(
    plane: ControlPlane, pool: ConnectionPool[psycopg.Connection], redis_client: redis.Redis
) -> None:
    divided = dataclasses.replace(plane, budgets=open_budgets(redis_client, 3))
    shop = Shop(divided, pool, redis_client, shards=3)
    paid = 300 * PRICE
    shop.deposit(paid)
    bids = 0
    for step in range(600):
        if step % 30 == 0:
            shop.funding.fund()
            divided.budgets.rebalance()
        bids += shop.bid(1 if step % 10 else 2) is not None
        assert shop.committed() <= paid
    assert bids > 200


def test_hardly_anything_of_a_balance_stays_unspent(shop: Shop) -> None:
    shop.deposit(200 * PRICE)
    bids = 0
    for _ in range(40):
        shop.funding.fund()
        while token := shop.bid(1):
            shop.bill(token, "2.00")
            bids += 1
    assert 198 <= bids <= 200


def test_an_advertiser_that_has_spent_its_balance_is_stopped_and_starts_with_the_next_deposit(
    shop: Shop,
) -> None:
    shop.deposit(100 * PRICE)
    shop.funding.fund()
    for _ in range(20):
        if shop.funding.fund():
            break
        while token := shop.bid(1):
            shop.bill(token, "2.00")
    assert shop.serving() == set()
    assert campaigns.show(shop.plane, 1).serving == "no_balance"
    assert 0 <= shop.balance() < 2 * PRICE
    shop.deposit(200 * PRICE, "bank-2")
    assert shop.funding.fund() == 1
    assert shop.serving() == {1, 2}
    assert shop.bid(1)


def test_reservations_that_come_free_do_not_start_what_was_stopped(shop: Shop) -> None:
    shop.deposit(100 * PRICE)
    shop.funding.fund()
    tokens: list[BidToken] = []
    for _ in range(20):
        if shop.funding.fund():
            break
        while token := shop.bid(1):
            tokens.append(token)
    assert shop.serving() == set()
    for token in tokens[:50]:
        shop.lose(token)
    assert shop.funding.fund() == 0
    assert shop.serving() == set()


def test_the_fee_comes_out_of_the_balance_too(
    plane: ControlPlane, pool: ConnectionPool[psycopg.Connection], redis_client: redis.Redis
) -> None:
    shop = Shop(plane, pool, redis_client, fee_percent="33.3333", names=("Spring",))
    shop.deposit(200 * PRICE)
    bids = 0
    for _ in range(20):
        shop.funding.fund()
        while token := shop.bid(1):
            shop.bill(token, "2.00")
            bids += 1
    assert bids == 150
    assert 0 <= shop.balance() < PRICE


def test_late_wins_are_all_that_can_be_owed(shop: Shop) -> None:
    shop.deposit(100 * PRICE)
    shop.funding.fund()
    tokens = [token for _ in range(50) if (token := shop.bid(1))]
    for token in tokens:
        shop.lose(token)
    for _ in range(20):
        shop.funding.fund()
        while token := shop.bid(1):
            shop.bill(token, "2.00")
    for token in tokens:
        shop.bill(token, "2.00")
    late = sum(one.late for one in shop.money().values())
    assert late == len(tokens) * PRICE
    assert -late <= shop.balance() < 0
    shop.funding.fund()
    assert shop.bid(1) is None


def test_a_charge_takes_back_what_was_granted(shop: Shop) -> None:
    shop.deposit(1_000 * PRICE)
    shop.funding.fund()
    charge = {"charge": format_nanos(900 * PRICE), "reason": "chargeback"}
    accounting.correct(shop.plane, "ann", "Acme", charge)
    shop.funding.fund()
    assert sum(one.budget for one in shop.money().values()) == 100 * PRICE


def test_the_money_of_a_paused_campaign_goes_to_the_others(shop: Shop) -> None:
    shop.deposit(100 * PRICE)
    shop.funding.fund()
    campaigns.pause(shop.plane, "ann", 2)
    shop.funding.fund()
    while token := shop.bid(1):
        shop.bill(token, "2.00")
    shop.funding.fund()
    budgets = {number: one.budget for number, one in shop.money().items()}
    assert budgets == {1: 100 * PRICE, 2: 0}


def test_a_budget_changed_by_an_operator_stays_within_the_grant(shop: Shop) -> None:
    shop.deposit(100 * PRICE)
    shop.funding.fund()
    campaigns.update(shop.plane, "ann", 1, {"budget": "60"})
    assert shop.money()[1].budget == 50 * PRICE
    low = {"budget": format_nanos(10 * PRICE), "daily_budget": None}
    campaigns.update(shop.plane, "ann", 1, low)
    shop.funding.fund()
    assert shop.money()[1].budget == 10 * PRICE


def test_a_redis_that_lost_everything_does_not_give_the_balance_twice(shop: Shop) -> None:
    shop.deposit(100 * PRICE)
    shop.funding.fund()
    for _ in range(40):
        token = shop.bid(1)
        assert token
        shop.bill(token, "2.00")
    shop.flusher.drain(100)
    shop.redis.flushdb()
    sync_all(shop.pool, shop.plane.catalog, shop.plane.budgets)
    shop.funding.fund()
    assert sum(one.available for one in shop.money().values()) <= 60 * PRICE
    assert sum(one.budget for one in shop.money().values()) <= 100 * PRICE


def test_funding_that_was_cut_short_before_redis_heard_of_it_is_made_up_for(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.deposit(100 * PRICE)
    shop.funding.fund()
    with shop.pool.connection() as conn:
        conn.execute("UPDATE budget_grant SET granted_nanos = granted_nanos / 5")
    shop.funding.fund()
    granted = sum(one.budget for one in shop.money().values())
    assert granted <= 100 * PRICE
    with shop.pool.connection() as conn:
        in_force = conn.execute("SELECT sum(granted_nanos) FROM budget_grant").fetchone()
    assert in_force == (granted,)


def test_all_that_is_proved_of_money_holds_with_prepaid_campaigns(shop: Shop) -> None:
    shop.deposit(100 * PRICE)
    shop.funding.fund()
    for _ in range(10):
        token = shop.bid(1)
        assert token
        shop.bill(token)
    proof = Prover(shop.pool, shop.redis).prove()
    assert proof.breaches == ()


def test_stopping_and_starting_is_in_the_history(shop: Shop) -> None:
    shop.deposit(100 * PRICE)
    shop.funding.fund()
    with shop.pool.connection() as conn:
        found = conn.execute("SELECT actor, action FROM audit ORDER BY id DESC LIMIT 1").fetchone()
    assert found == ("pacer", "balance")


def test_the_pacer_funds_by_itself(shop: Shop, start_daemon: Callable[..., DaemonProcess]) -> None:
    start_daemon("pacer")
    shop.deposit(100 * PRICE)
    deadline = time.monotonic() + 10
    while shop.serving() != {1, 2}:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert shop.bid(1)
