"""What a bid's events come to when Redis forgets some, and takes them behind newer ones."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from adctl.config import RedisSettings
from adctl.delivery.macros import ToldMacros
from adctl.delivery.tracking import track
from adctl.models import EventKind
from adctl.stores import keys
from adctl.stores.event_intake import EventIntake
from adctl.stores.hot_cluster import hot_connection
from adctl.stores.redis import connect
from adctl.stores.round_trip import HotConnection, RoundTrips
from adctl.stores.stream_look import StreamLooks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import psycopg
    import redis

    from adctl.delivery.tokens import BidToken
    from adctl.delivery.tracking import TrackedEvent
    from adctl.stores.embedded.server import Server
    from tests.integration.house import House

TOLD = (EventKind.WIN, EventKind.IMPRESSION, EventKind.CLICK, EventKind.LOSS)
COST = 1_500_000


@pytest.fixture
def round_trips(redis_url: str) -> Iterator[RoundTrips]:
    connection = HotConnection(redis_url, 2000)
    yield RoundTrips(connection)
    connection.close()


@pytest.fixture
def redis_url(redis_client: redis.Redis) -> str:
    told = redis_client.connection_pool.connection_kwargs
    return f"redis://:{told['password']}@{told['host']}:{told['port']}/{told.get('db', 0)}"


class Keeping:
    """A journal in memory."""

    def __init__(self) -> None:
        self.kept: list[TrackedEvent] = []

    def keep(self, events: Sequence[TrackedEvent]) -> None:
        self.kept += events


def event(bid: BidToken, kind: EventKind) -> TrackedEvent:
    told = ToldMacros(price="1.5", loss="102")
    return track(bid, kind, EventKind.IMPRESSION, told, bid.bid_at_ms + 1000)


@pytest.mark.parametrize("flushed", range(len(TOLD) + 1))
@pytest.mark.parametrize("newer", range(len(TOLD) + 1))
def test_events_taken_again_in_any_order_are_stored_once_and_cost_once(
    house: House, round_trips: RoundTrips, postgres: psycopg.Connection, flushed: int, newer: int
) -> None:
    """Of four events some are stored already when Redis forgets all, and some come after that."""
    journal = Keeping()
    intake = EventIntake(round_trips, 120, 86_400, journal=journal)
    orders = list(itertools.permutations(TOLD))
    bids = [house.bid() for _ in orders]
    for bid, order in zip(bids, orders, strict=True):
        events = [event(bid, kind) for kind in order]
        before, after = events[: len(events) - newer], events[len(events) - newer :]
        journal.kept.clear()
        for told in before[:flushed]:
            intake.take(told)
        house.flusher.drain(100)
        for told in before[flushed:]:
            intake.take(told)
        house.redis.delete(*house.redis.scan_iter("adctl:{s0}:*"))
        kept = list(journal.kept)
        for told in after:
            intake.take(told)
        intake.retake_all(kept)
        house.flusher.drain(100)
    rows = postgres.execute(
        "SELECT bid_id, count(*), count(DISTINCT kind), sum(cost_nanos) FROM event GROUP BY 1"
    ).fetchall()
    assert {row[0] for row in rows} == {bid.bid_id for bid in bids}
    assert {row[1:] for row in rows} == {(4, 4, COST)}
    [(booked,)] = postgres.execute(
        "SELECT sum(amount_nanos) FROM ledger_entry WHERE account = 'campaign'"
    ).fetchall()
    assert booked == COST * len(bids)


def test_event_is_journaled_when_redis_has_it_and_only_then(
    house: House, round_trips: RoundTrips
) -> None:
    journal = Keeping()
    intake = EventIntake(round_trips, 120, 86_400, journal=journal)
    shown = event(house.bid(), EventKind.IMPRESSION)
    full = EventIntake(round_trips, 120, 86_400, stream_max_entries=1, journal=journal)
    intake.take(shown)
    assert journal.kept == [shown]
    other = event(house.bid(), EventKind.IMPRESSION)
    assert "full" in str(full.take_all([other])[0])
    assert journal.kept == [shown]
    dearer = track(
        house.bid(), EventKind.WIN, EventKind.IMPRESSION, ToldMacros(price="1"), 1_800_000_000_000
    )
    assert intake.take_all([shown, other, dearer]) == ["duplicate", "taken", "taken"]
    assert journal.kept == [shown, shown, other, dearer]
    journal.kept.clear()
    intake.retake_all([shown, other])
    assert journal.kept == []


def test_shard_says_who_it_is_and_where_its_stream_and_postgresql_are(
    redis_client: redis.Redis, round_trips: RoundTrips
) -> None:
    looks = StreamLooks(round_trips)
    before = looks.at([0, 3])
    run_id = redis_client.info("server")["run_id"]
    assert (before[3].generation, before[3].run_id) == ("", run_id)
    assert (before[3].flushed_id, before[3].last_id) == ("0-0", "0-0")
    redis_client.xadd(keys.events(3), {"e": ""}, id="7-1")
    redis_client.xtrim(keys.events(3), maxlen=0)
    redis_client.set(keys.flushed(3), "6-0")
    redis_client.set(keys.generation(3), f"4 {run_id}")
    assert not before[3].confirmed
    look = looks.at([0, 3])[3]
    assert look == (f"4 {run_id}", run_id, "6-0", "7-1")
    assert look.confirmed
    assert look.ordered
    assert look.memory != before[3].memory


def test_looks_at_a_cluster_find_each_shard_where_it_is(
    cluster_url: str, cluster_nodes: list[Server]
) -> None:
    connection = hot_connection(cluster_url, 2000)
    round_trips = RoundTrips(connection)
    with connect(cluster_url, RedisSettings()) as client:
        for shard in range(8):
            client.xadd(keys.events(shard), {"e": ""}, id=f"{shard + 1}-0")
    looks = StreamLooks(round_trips).at(range(8))
    assert [looks[shard].last_id for shard in range(8)] == [f"{n + 1}-0" for n in range(8)]
    assert len({look.run_id for look in looks.values()}) == len(cluster_nodes)
    connection.close()
