"""Votes that share a round trip, on a real server: the verdicts are the ledger's own."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pytest

from adctl.delivery.auction import Candidate, ImpAuction, Verdict, Vote
from adctl.errors import StoreUnavailableError
from adctl.models import BidStrategy, Campaign, FrequencyCap, Status
from adctl.stores import keys
from adctl.stores.auction_ledger import SharedLedger
from adctl.stores.budgets import Budgets
from adctl.stores.round_trip import HotConnection, RoundTrips
from tests.integration.house import CREATIVE, PRICE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import redis

    from adctl.stores.endpoints import Endpoints

NOW_MS = 1_767_225_600_000


def campaign(number: int, displays: int) -> Campaign:
    return Campaign(
        id=number,
        advertiser_id=1,
        name=f"campaign {number}",
        status=Status.ACTIVE,
        bid_strategy=BidStrategy.CPM,
        bid_amount_micros=PRICE,
        daily_budget_nanos=displays * PRICE,
        total_budget_nanos=displays * PRICE,
        starts_at=datetime(2025, 1, 1, tzinfo=UTC),
        caps=(FrequencyCap(2, 3600),),
    )


def vote(one: Campaign, user: str, *, more: bool = False) -> Vote:
    candidate = Candidate(one, CREATIVE, PRICE, one.caps)
    return Vote([ImpAuction("1", 0, (candidate,), more=more)], user, NOW_MS // 60_000, NOW_MS)


class Worker:
    def __init__(self, url: str, client: redis.Redis) -> None:
        self.trips = RoundTrips(HotConnection(url, 1000))
        self.ledger = SharedLedger(self.trips, hold_sec=120)
        self.budgets = Budgets(client)

    def fund(self, *campaigns: Campaign) -> None:
        for one in campaigns:
            self.budgets.sync(one, date(2026, 1, 1))
            self.budgets.sync(one, date(2026, 1, 1))

    def turn(self, votes: Sequence[Vote]) -> list[list[Verdict] | Exception]:
        told: list[list[Verdict] | Exception] = []
        for one in votes:
            self.ledger.ask(one, told.append)
        while self.trips.waiting:
            self.trips.exchange()
        return told


@pytest.fixture
def worker(endpoints: Endpoints, redis_client: redis.Redis) -> Worker:
    return Worker(endpoints.redis_url, redis_client)


def winners(told: Sequence[list[Verdict] | Exception]) -> list[int | None]:
    assert not any(isinstance(one, Exception) for one in told)
    return [verdict.winner for one in told if not isinstance(one, Exception) for verdict in one]


def test_votes_of_a_turn_never_spend_more_than_there_is(worker: Worker) -> None:
    scarce = campaign(1, displays=3)
    worker.fund(scarce)
    told = winners(worker.turn([vote(scarce, f"{number:032x}") for number in range(9)]))
    assert told == [0, 0, 0, *[None] * 6]
    assert worker.budgets.read([1])[1].adds_up


def test_cap_holds_among_the_votes_of_one_turn(worker: Worker) -> None:
    capped = campaign(1, displays=100)
    worker.fund(capped)
    assert winners(worker.turn([vote(capped, "ab" * 16)] * 5)) == [0, 0, None, None, None]


def test_server_that_forgot_the_script_is_told_it_again(
    worker: Worker, redis_client: redis.Redis
) -> None:
    one = campaign(1, displays=100)
    worker.fund(one)
    redis_client.script_flush()
    assert winners(worker.turn([vote(one, f"{number:032x}") for number in range(6)])) == [0] * 6
    assert worker.budgets.read([1])[1].reserved == 6 * PRICE


def test_candidates_that_are_not_enough_are_told_by_no_verdict(worker: Worker) -> None:
    unfunded = campaign(1, displays=1)
    assert worker.turn([vote(unfunded, "ab" * 16, more=True)]) == [[]]


def test_script_that_is_refused_is_told_as_unavailable(
    worker: Worker, redis_client: redis.Redis
) -> None:
    one = campaign(1, displays=100)
    worker.fund(one)
    redis_client.set(keys.budget(0, 1), "no hash")
    [told] = worker.turn([vote(one, "ab" * 16)])
    assert isinstance(told, StoreUnavailableError)


def test_reply_that_cannot_be_read_is_told_to_who_asked_and_nobody_else(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = campaign(1, displays=100)
    worker.fund(one)
    votes = [vote(one, "ab" * 16), vote(one, "cd" * 16)]
    begin = worker.trips._connection.begin

    def garbled(commands: Sequence[Any]) -> Callable[[], list[Any]]:
        receive = begin(commands)
        return lambda: [["what?"], *receive()[1:]]

    monkeypatch.setattr(worker.trips._connection, "begin", garbled)
    bad, good = worker.turn(votes)
    assert isinstance(bad, ValueError)
    assert winners([good]) == [0]


def test_commands_of_a_round_trip_are_written_as_one(
    endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection, written = HotConnection(endpoints.redis_url, 1000), list[int]()
    connection.exchange([("PING",)])  # connecting says some things of its own
    send = connection._connection.send_packed_command

    def note(parts: list[bytes], **options: bool) -> None:
        written.append(len(parts))
        send(parts, **options)

    monkeypatch.setattr(connection._connection, "send_packed_command", note)
    assert connection.exchange([("PING",), ("ECHO", "a"), ("ECHO", "b")]) == ["PONG", "a", "b"]
    assert written == [1]
