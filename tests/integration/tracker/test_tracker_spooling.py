"""A Redis that comes and goes, and a disk that fills."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from adctl.control.daemon_process import Health
from adctl.models import EventKind
from tests.integration.tracker.street import (
    FORGER,
    Street,
    eventually,
    token_of,
    url,
)

if TYPE_CHECKING:
    from adctl.control.daemon_process import DaemonProcess
    from adctl.stores.embedded.server import Server


def test_events_told_while_redis_is_away_are_answered_as_usual_and_taken_in_order_after(
    own_valkey: Server, tracker: DaemonProcess, quiet_street: Street
) -> None:
    street = quiet_street
    bids = [street.bid() for _ in range(5)]
    street.tell(bids[0], "click")  # its landing page is known from here on
    spooled = street.metric("adctl_events_total", kind="impression", verdict="spooled")
    own_valkey.stop()
    try:
        assert [street.tell(bid, "impression").status for bid in bids] == [200] * 5
        assert street.tell(bids[1], "win").status == 204
        reply = street.tell(bids[2], "click")
        assert reply.status == 302
        assert reply.headers["Location"].startswith("https://advertiser.example/")
        assert street.tell(bids[3], "conversion", "POST").status == 204
        assert street.tell(bids[0], "impression").status == 200
        assert tracker.readiness().health is Health.READY
        assert street.call(url(bids[0], "impression", signer=FORGER)).status == 403
        labels = {"kind": "impression", "verdict": "spooled"}
        assert street.metric("adctl_events_total", **labels) == spooled + 6
    finally:
        own_valkey.start(owned=True)
    eventually(lambda: len(street.events) == 9)
    told = [(event.kind, event.bid_id) for event in street.events]
    assert told == [
        ("click", bids[0].bid_id),
        *(("impression", bid.bid_id) for bid in bids),
        ("win", bids[1].bid_id),
        ("click", bids[2].bid_id),
        ("conversion", bids[3].bid_id),
    ]
    assert (street.money.spent, street.money.reserved) == (5 * 1_500_000, 0)
    assert street.money.adds_up
    eventually(lambda: street.tell(street.bid(), "impression").status == 200)
    assert tracker.readiness().health is Health.READY


def test_spool_that_was_emptied_is_used_no_more(street: Street) -> None:
    street.tell(street.bid(), "impression")
    assert [event.kind for event in street.events] == [EventKind.IMPRESSION]


def test_full_spool_asks_to_come_again_and_says_not_ready_until_it_is_emptied(
    own_valkey: Server, tracker: DaemonProcess, quiet_street: Street
) -> None:
    street = quiet_street
    street.tell(street.bid(), "impression")
    bids = [street.bid() for _ in range(40)]
    kept: list[str] = []
    own_valkey.stop()
    try:
        refused = None
        for bid in bids * 100:
            unseen = msgspec.structs.replace(bid, bid_id=f"{10**9 + len(kept):024x}")
            reply = street.tell(unseen, "impression")
            if reply.status != 200:
                refused = reply
                break
            kept.append(unseen.bid_id)
        assert refused is not None
        assert (refused.status, refused.headers["Retry-After"]) == (503, "5")
        readiness = tracker.readiness()
        assert readiness.health is Health.NOT_READY
        assert "the spool is full" in str(readiness)
        eventually(lambda: street.gauge("adctl_spool_bytes") > 0)
        eventually(lambda: street.gauge("adctl_spool_age_seconds") > 0)
        batch = [{"kind": "impression", "token": token_of(bids[0], "impression")}]
        assert street.post(batch).status == 503
    finally:
        own_valkey.start(owned=True)
    eventually(lambda: tracker.readiness().health is Health.READY)
    eventually(lambda: len(street.events) == len(kept) + 1)
    assert [event.bid_id for event in street.events][1:] == kept
    eventually(lambda: street.gauge("adctl_spool_bytes") == 0)
    assert street.gauge("adctl_spool_age_seconds") == 0
