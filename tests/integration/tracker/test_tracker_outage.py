"""A Redis that comes and goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adctl.control.daemon_process import Health
from adctl.models import EventKind
from tests.integration.tracker.street import FORGER, eventually, url

if TYPE_CHECKING:
    from adctl.control.daemon_process import DaemonProcess
    from adctl.stores.embedded.server import Server
    from tests.integration.tracker.street import Street


def test_events_told_while_redis_is_away_are_answered_as_usual_and_taken_in_order_after(
    own_valkey: Server, tracker: DaemonProcess, street: Street
) -> None:
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
        assert tracker.readiness().health is Health.NOT_READY
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
