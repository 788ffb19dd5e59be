"""A Redis that forgets what was acknowledged, in every way it can, is told it again."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import psutil

from adctl.stores import keys
from tests.integration.tracker.conftest import begin_anew
from tests.integration.tracker.street import Street, eventually
from tests.integration.tracker.test_conversions import claim, readers_bid

if TYPE_CHECKING:
    from adctl.control.daemon_process import DaemonProcess
    from adctl.stores.embedded.server import Server


def told(street: Street) -> list[tuple[str, str]]:
    return sorted((event.kind, event.bid_id) for event in street.events)


def test_flushed_redis_is_told_within_seconds_what_was_acknowledged(
    quiet_street: Street,
) -> None:
    street = quiet_street
    bids = [street.bid() for _ in range(5)]
    assert [street.tell(bid, "impression").status for bid in bids] == [200] * 5
    assert street.tell(bids[0], "win").status == 204
    before = told(street)
    assert len(before) == 6
    for generation in (2, 3, 4):
        begin_anew(street.redis)
        street.confirm(generation)
        eventually(lambda: told(street) == before)
    assert street.money.spent == 5 * 1_500_000


def test_redis_that_is_killed_while_a_worker_is_forgets_nothing(
    own_valkey: Server, tracker: DaemonProcess, quiet_street: Street
) -> None:
    street = quiet_street
    bids = [street.bid() for _ in range(20)]
    assert {street.tell(bid, "impression").status for bid in bids} == {200}
    street.connection.close()
    [worker] = psutil.Process(tracker.pid).children()
    os.kill(worker.pid, signal.SIGKILL)
    begin_anew(street.redis)
    own_valkey.respawn()
    street.connection.close()
    eventually(lambda: len(street.events) == 20)
    assert {event.bid_id for event in street.events} == {bid.bid_id for bid in bids}


def test_successor_takes_the_journal_over(tracker: DaemonProcess, quiet_street: Street) -> None:
    street = quiet_street
    street.tell(street.bid(), "impression")
    [before] = psutil.Process(tracker.pid).children()
    os.kill(tracker.pid, signal.SIGHUP)
    eventually(lambda: before not in psutil.Process(tracker.pid).children())
    street.connection.close()
    street.tell(street.bid(), "impression")
    kept = told(street)
    begin_anew(street.redis)
    street.confirm(2)
    eventually(lambda: told(street) == kept)
    assert len(kept) == 2


def test_what_postgresql_has_leaves_the_journal_and_is_not_told_again(
    tracker: DaemonProcess, quiet_street: Street
) -> None:
    street = quiet_street
    bid = street.bid()
    street.tell(bid, "impression")
    assert bid.bid_id.encode() in street.journaled
    street.empty_journal()
    assert street.journaled == b""
    begin_anew(street.redis)
    time.sleep(1.5)
    assert street.events == []


def test_nothing_leaves_the_journal_while_redis_is_not_confirmed(
    tracker: DaemonProcess, quiet_street: Street
) -> None:
    street = quiet_street
    bid = street.bid()
    street.tell(bid, "impression")
    street.redis.set(
        keys.flushed(0), street.redis.xinfo_stream(keys.events(0))["last-generated-id"]
    )
    street.redis.set(keys.generation(0), "1 of-another-server")
    time.sleep(3.5)
    assert bid.bid_id.encode() in street.journaled


def test_users_conversion_outlives_the_touch_it_was_counted_for(quiet_street: Street) -> None:
    street = quiet_street
    bid = readers_bid(street)
    street.tell(bid, "click")
    assert claim(street, "o-7", v="20").status == 200
    before = street.events
    begin_anew(street.redis)
    street.confirm(2)
    eventually(lambda: len(street.events) == 2)
    assert sorted(street.events, key=str) == sorted(before, key=str)
    # And the order still counts once.
    claim(street, "o-7", v="20")
    claim(street, "o-7", v="20")
    assert len(street.events) == 2


def test_repeat_is_journaled_too_because_its_first_teller_may_have_been_killed(
    tracker: DaemonProcess, quiet_street: Street
) -> None:
    street = quiet_street
    bid = street.bid()
    for _ in range(2):
        street.tell(bid, "impression")
    assert street.journaled.count(b'"event_id":"' + bid.bid_id.encode()) == 2
    street.tell(bid, "impression", price="0.5")
    assert street.journaled.count(b'"event_id":"' + bid.bid_id.encode()) == 2


def test_events_told_while_redis_was_away_are_journaled_when_it_is_back(
    own_valkey: Server, tracker: DaemonProcess, quiet_street: Street
) -> None:
    street = quiet_street
    bids = [street.bid() for _ in range(3)]
    street.tell(bids[0], "impression")
    own_valkey.stop()
    try:
        assert {street.tell(bid, "impression").status for bid in bids} == {200}
    finally:
        own_valkey.start(owned=True)
    eventually(lambda: len(street.events) == 3)
    begin_anew(street.redis)
    street.confirm(2)
    eventually(lambda: len(street.events) == 3)
    assert {event.bid_id for event in street.events} == {bid.bid_id for bid in bids}
