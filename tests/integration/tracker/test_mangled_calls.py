"""Calls as they come over the wire: mangled by wrappers, or only asked about."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.tracker.street import Street, everything, token_of, url

if TYPE_CHECKING:
    from adctl.control.daemon_process import DaemonProcess


@pytest.mark.parametrize("between", ["&amp;", "&#38;", "&#x26;", "%26", "%2526", ";", "?"])
def test_price_is_read_however_ampersands_come(street: Street, between: str) -> None:
    token = token_of(street.bid(), "impression")
    told = f"/track/impression?t={token}{between}p=1.40{between}c=USD"
    assert street.call(told).status == 200
    [event] = street.events
    assert (event.cost_nanos, event.unpriced) == (1_400_000, False)


@pytest.mark.parametrize(
    "appended", ["?fbclid=abc", ";x=1", "%23frag", "%3Ffbclid%3Dabc", "#frag", "&gclid=x", "/"]
)
def test_click_leads_on_whatever_was_appended_to_it(street: Street, appended: str) -> None:
    path = url(street.bid(), "click").partition("&")[0]
    for told in (path + appended, path.replace("?", "/?") + appended):
        assert street.call(told).status == 302
    assert [event.kind for event in street.events] == ["click"]


@pytest.mark.parametrize("kind", ["impression", "click", "win", "loss", "conversion"])
def test_head_leaves_the_connection_for_the_get_that_counts(street: Street, kind: str) -> None:
    bid = street.bid()
    stored = everything(street.redis)
    head = street.tell(bid, kind, "HEAD")
    assert everything(street.redis) == stored
    told = street.tell(bid, kind)
    assert (head.status, head.body) == (told.status, b"")
    assert head.headers["Content-Length"] == told.headers["Content-Length"]
    assert [event.kind for event in street.events] == [kind]


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/metrics"])
def test_head_of_health_is_answered(street: Street, tracker: DaemonProcess, path: str) -> None:
    for _ in range(2):
        reply = street.call(path, "HEAD")
        assert (reply.status, reply.body) == (200, b"")
