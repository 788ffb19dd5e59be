from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
import pytest

from adctl.control.analytics import Analytics
from adctl.control.flushing import Flusher
from adctl.control.rebuilding import RollupRebuilder
from adctl.decisions import CampaignLook, CandidateOutcome, Decision, ImpDecision
from adctl.models import EventKind
from adctl.streams.consumer import IncomingMessage

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg
    from psycopg_pool import ConnectionPool

    from adctl.control.poison import Poison
    from adctl.models import Event
    from adctl.stores.stream import EventStream

    MakeEvent = Callable[..., Event]
    Append = Callable[..., None]

CLUSTER = "cluster-1"
HOUR = datetime(2026, 11, 1, 10, tzinfo=UTC)
AT_MS = int(HOUR.timestamp() * 1000) + 120_000
COUNTS = "bids, wins, losses, impressions, clicks, conversions, spend_nanos"


def delivery(postgres: psycopg.Connection) -> list[tuple[object, ...]]:
    rows = postgres.execute(
        f"SELECT campaign_id, {COUNTS} FROM rollup_delivery ORDER BY hour, campaign_id"
    ).fetchall()
    postgres.commit()
    return rows


def requests(postgres: psycopg.Connection) -> list[tuple[object, ...]]:
    query = "SELECT hour, exchange, reason, requests FROM rollup_requests ORDER BY reason"
    rows = postgres.execute(query).fetchall()
    postgres.commit()
    return rows


def event_message(event: Event, offset: int, stream_id: str, topic: str = "impressions") -> object:
    return IncomingMessage(topic, 0, offset, msgspec.json.encode(event), stream_id)


def decision_message(offset: int, **changes: object) -> IncomingMessage:
    imp = ImpDecision(imp_id="1", bidfloor_micros=0, winner=1, creative_id=2, bid_id="b")
    decision = Decision(
        request_id=f"r{offset}", exchange="default", decided_at_ms=AT_MS, bid=True, imps=(imp,)
    )
    changed = msgspec.structs.replace(decision, **changes)
    return IncomingMessage("bids", 0, offset, msgspec.json.encode(changed), "")


@pytest.fixture
def buried() -> list[Poison]:
    return []


@pytest.fixture
def analytics(pool: ConnectionPool[psycopg.Connection], buried: list[Poison]) -> Analytics:
    return Analytics(pool, lambda _cluster_id, poison: buried.extend(poison))


def test_events_are_counted_in_the_hour_they_occurred(
    analytics: Analytics, make_event: MakeEvent, postgres: psycopg.Connection
) -> None:
    kinds = [EventKind.WIN, EventKind.LOSS, EventKind.IMPRESSION, EventKind.CLICK]
    events = [
        make_event(kind, kind=kind, occurred_at_ms=AT_MS, cost_nanos=7)
        for kind in [*kinds, EventKind.CONVERSION, EventKind.BILL]
    ]
    analytics.apply(CLUSTER, [event_message(e, n, f"1-{n + 1}") for n, e in enumerate(events)])
    assert delivery(postgres) == [(1, 0, 1, 1, 1, 1, 1, 42)]
    ((hour,),) = postgres.execute("SELECT hour FROM rollup_delivery").fetchall()
    assert hour == HOUR


def test_decisions_are_counted_as_requests_and_bids(
    analytics: Analytics, postgres: psycopg.Connection
) -> None:
    analytics.apply(
        CLUSTER,
        [
            decision_message(0),
            decision_message(1, bid=False, reason="no_candidates", imps=()),
            decision_message(2, bid=False, reason="no_candidates", imps=()),
        ],
    )
    assert requests(postgres) == [
        (HOUR, "default", "", 1),
        (HOUR, "default", "no_candidates", 2),
    ]
    assert delivery(postgres) == [(1, 1, 0, 0, 0, 0, 0, 0)]


def test_every_candidate_of_a_decision_is_counted_with_its_outcome(
    analytics: Analytics, postgres: psycopg.Connection
) -> None:
    outcomes = tuple(
        CandidateOutcome(campaign_id=number, creative_id=1, bid_cpm_micros=1, reason=reason)
        for number, reason in ((1, "frequency_cap"), (2, ""), (3, "outbid"))
    )
    passed_over = (CandidateOutcome(4, 0, 1, "blocked_category"),)
    imp = ImpDecision("1", 0, winner=2, candidates=outcomes, passed_over=passed_over)
    analytics.apply(CLUSTER, [decision_message(n, imps=(imp,)) for n in range(2)])
    rows = postgres.execute(
        "SELECT campaign_id, outcome, candidates FROM rollup_candidates ORDER BY 1"
    ).fetchall()
    assert rows == [
        (1, "frequency_cap", 2),
        (2, "won", 2),
        (3, "outbid", 2),
        (4, "blocked_category", 2),
    ]


def test_what_ceilings_cut_is_added_up_by_outcome(
    analytics: Analytics, postgres: psycopg.Connection
) -> None:
    won = (CandidateOutcome(1, 1, 5, cut_micros=7), CandidateOutcome(2, 1, 4, "outbid"))
    passed_over = (CandidateOutcome(1, 0, 0, "ceiling", 3),)
    imps = (ImpDecision("1", 0, winner=1, candidates=won, passed_over=passed_over),)
    uncut = (ImpDecision("1", 0, winner=1, candidates=(CandidateOutcome(1, 1, 5),)),)
    messages = [decision_message(n, imps=uncut if n == 2 else imps) for n in range(3)]
    analytics.apply(CLUSTER, messages)
    rows = postgres.execute(
        "SELECT campaign_id, outcome, candidates, capped, cut_micros FROM rollup_candidates "
        "ORDER BY 1, 2"
    ).fetchall()
    assert rows == [(1, "ceiling", 2, 2, 6), (1, "won", 3, 2, 14), (2, "outbid", 2, 0, 0)]


def test_what_was_looked_into_is_counted_apart(
    analytics: Analytics, postgres: psycopg.Connection
) -> None:
    outcomes = (CandidateOutcome(1, 1, 1, "floor"),)
    imp = ImpDecision("1", 0, candidates=outcomes)
    looks = (CampaignLook(1, "floor"), CampaignLook(2, "targeting_country"))
    analytics.apply(
        CLUSTER, [decision_message(0, imps=(imp,), looks=looks), decision_message(1, imps=(imp,))]
    )
    rows = postgres.execute(
        "SELECT campaign_id, sampled, outcome, candidates FROM rollup_candidates ORDER BY 1, 2"
    ).fetchall()
    assert rows == [
        (1, False, "floor", 2),
        (1, True, "floor", 1),
        (2, True, "targeting_country", 1),
    ]


def test_test_traffic_is_left_out(
    analytics: Analytics, make_event: MakeEvent, postgres: psycopg.Connection
) -> None:
    event = make_event("a", test=True, cost_nanos=0)
    batch = analytics.apply(
        CLUSTER, [decision_message(0, test=True), event_message(event, 0, "1-1")]
    )
    assert batch.applied == 2
    assert delivery(postgres) == requests(postgres) == []


def test_the_same_offsets_are_applied_once(
    analytics: Analytics, postgres: psycopg.Connection
) -> None:
    messages = [decision_message(0), decision_message(1)]
    analytics.apply(CLUSTER, messages)
    again = analytics.apply(CLUSTER, [*messages, decision_message(2)])
    assert (again.applied, again.skipped) == (1, 2)
    assert requests(postgres) == [(HOUR, "default", "", 3)]


def test_a_relay_that_repeats_itself_changes_nothing(
    analytics: Analytics, make_event: MakeEvent, postgres: psycopg.Connection
) -> None:
    # 9-1 is older than 10-0: ids are numbers, not text.
    first = [event_message(make_event("a"), 0, "9-1"), event_message(make_event("b"), 1, "10-0")]
    repeat = [event_message(make_event("a"), 2, "9-1"), event_message(make_event("b"), 3, "10-0")]
    analytics.apply(CLUSTER, first)
    batch = analytics.apply(CLUSTER, [*repeat, event_message(make_event("c"), 4, "10-1")])
    assert (batch.applied, batch.skipped) == (1, 2)
    assert delivery(postgres) == [(1, 0, 0, 0, 3, 0, 0, 7_500_000)]
    assert analytics.next_offsets(CLUSTER) == {("impressions", 0): 5}


def test_messages_that_make_no_sense_are_buried_and_passed_by(
    analytics: Analytics,
    make_event: MakeEvent,
    postgres: psycopg.Connection,
    buried: list[Poison],
) -> None:
    nonsense = [
        IncomingMessage("impressions", 0, 1, b"{", "2-0"),
        IncomingMessage("impressions", 0, 2, msgspec.json.encode(make_event("n")), ""),
        event_message(make_event("big", campaign_id=2**40), 3, "2-1"),
        event_message(make_event("nul", exchange="\0"), 4, "2-2"),
        event_message(make_event("never", occurred_at_ms=2**62), 5, "2-3"),
    ]
    first, last = make_event("a"), make_event("z")
    batch = analytics.apply(
        CLUSTER, [event_message(first, 0, "1-0"), *nonsense, event_message(last, 6, "3-0")]
    )
    assert batch.applied == 2
    assert [(one.message.offset, one.reason) for one in sorted(buried)] == [
        (1, "not_json"),
        (2, "bad_header"),
        (3, "out_of_range"),
        (4, "out_of_range"),
        (5, "out_of_range"),
    ]
    assert delivery(postgres) == [(1, 0, 0, 0, 2, 0, 0, 5_000_000)]
    assert batch.next_offsets == {("impressions", 0): 7}


def test_consumers_at_work_together_apply_every_message_once(
    analytics: Analytics, postgres: psycopg.Connection
) -> None:
    messages = [decision_message(offset) for offset in range(300)]

    def work() -> None:
        for start in range(0, 300, 10):
            analytics.apply(CLUSTER, messages[start : start + 10])

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert requests(postgres) == [(HOUR, "default", "", 300)]


@pytest.fixture
def rebuilder(pool: ConnectionPool[psycopg.Connection], stream: EventStream) -> RollupRebuilder:
    return RollupRebuilder(pool, stream.key)


def test_a_rebuild_makes_what_the_stream_made(
    analytics: Analytics,
    rebuilder: RollupRebuilder,
    pool: ConnectionPool[psycopg.Connection],
    stream: EventStream,
    append: Append,
    make_event: MakeEvent,
    postgres: psycopg.Connection,
) -> None:
    events = [
        make_event(f"{kind}-{campaign}-{hour}", kind=kind, campaign_id=campaign, test=campaign == 3)
        for kind in EventKind
        for campaign in (1, 2, 3)
        for hour in range(3)
    ]
    events = [
        msgspec.structs.replace(
            event,
            occurred_at_ms=AT_MS + int(event.event_id[-1]) * 3_600_000,
            cost_nanos=0 if event.test else 11,
        )
        for event in events
    ]
    append(*events)
    entries = stream.read("0-0", 1000)
    Flusher(pool, stream).flush_once(1000)
    analytics.apply(CLUSTER, [decision_message(0)])
    analytics.apply(
        CLUSTER,
        [event_message(event, n, entries[n].id) for n, event in enumerate(events)],
    )
    streamed = delivery(postgres)
    assert len(streamed) == 6
    postgres.execute("UPDATE rollup_delivery SET spend_nanos = 5, clicks = clicks + 1")
    postgres.execute("DELETE FROM rollup_delivery WHERE campaign_id = 2")
    postgres.commit()
    assert rebuilder.rebuild(dry_run=True) == 6
    assert delivery(postgres) != streamed
    assert rebuilder.rebuild() == 6
    assert delivery(postgres) == streamed
    # What was rebuilt from is not applied again when it comes along.
    late = [event_message(e, 100 + n, entries[n].id) for n, e in enumerate(events)]
    assert analytics.apply(CLUSTER, late).skipped == len(events)
    assert delivery(postgres) == streamed


def test_a_new_cluster_begins_with_a_rebuild_and_misses_nothing(
    rebuilder: RollupRebuilder,
    analytics: Analytics,
    pool: ConnectionPool[psycopg.Connection],
    stream: EventStream,
    append: Append,
    make_event: MakeEvent,
    postgres: psycopg.Connection,
) -> None:
    append(make_event("a"))
    Flusher(pool, stream).flush_once(100)
    assert rebuilder.begin_cluster(CLUSTER, [("bids", 0), ("impressions", 0)])
    assert not rebuilder.begin_cluster(CLUSTER, [("bids", 0), ("impressions", 0)])
    assert delivery(postgres) == [(1, 0, 0, 0, 1, 0, 0, 2_500_000)]
    # The relay to it begins before the rebuild's moment, and what it repeats is skipped.
    relay = postgres.execute("SELECT last_id FROM stream_position WHERE reader LIKE 'kafka:%'")
    assert relay.fetchall() == [("0-0",)]
    (entry,) = stream.read("0-0", 10)
    repeat = event_message(make_event("a"), 0, entry.id)
    assert analytics.apply(CLUSTER, [repeat]).skipped == 1
    assert analytics.next_offsets(CLUSTER) == {("bids", 0): 0, ("impressions", 0): 1}


def test_another_cluster_is_forgotten_but_for_its_decisions(
    rebuilder: RollupRebuilder, analytics: Analytics
) -> None:
    rebuilder.begin_cluster("old", [("bids", 0), ("impressions", 0)])
    analytics.apply("old", [decision_message(0)])
    assert rebuilder.begin_cluster("new", [("bids", 0), ("impressions", 0)])
    assert analytics.next_offsets("old") == {("bids", 0): 1}
    assert rebuilder.begin_cluster("old", [("bids", 0), ("impressions", 0)])
