"""What becomes of calls of which a part is wrong, missing, late, or only asked about."""

from __future__ import annotations

from urllib.parse import parse_qs, quote, urlsplit

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adctl.delivery.tokens import CLOCKS_APART_SEC, Purpose, Signer
from adctl.models import EventKind
from tests.unit.daemons.tracker.desk import (
    ADVERTISER_KEY,
    BID,
    NOW_MS,
    SIGNER,
    TTL_SEC,
    Desk,
    path_of,
    token_of,
)

DAY_MS = 86_400_000
ORIGIN = {"Origin": "https://pub.example"}
PREFLIGHT = {
    **ORIGIN,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "content-type",
}


def bid_at(ms: int, bid_id: str = BID.bid_id) -> str:
    return token_of("click", msgspec.structs.replace(BID, bid_at_ms=ms, bid_id=bid_id))


@pytest.mark.parametrize(
    ("bid_at_ms", "reason"),
    [
        (NOW_MS - TTL_SEC * 1000 - 1, "expired"),
        (NOW_MS - 400 * DAY_MS, "expired"),
        (NOW_MS + CLOCKS_APART_SEC * 1000 + 1, "future"),
    ],
)
def test_genuine_click_that_does_not_count_leads_to_its_page_all_the_same(
    bid_at_ms: int, reason: str
) -> None:
    desk = Desk()
    reply = desk.call("/track/click", f"t={bid_at(bid_at_ms)}")
    location = urlsplit(reply.headers["location"])
    assert (reply.status_code, location.netloc) == (302, "shop.example")
    assert parse_qs(location.query, keep_blank_values=True) == {"click": [""], "c": ["1"]}
    assert not desk.taken
    assert desk.counted("adctl_events_rejected_total", kind="click", reason=reason) == 1


def test_late_click_told_by_a_server_is_refused() -> None:
    desk = Desk()
    query = f"t={bid_at(NOW_MS - DAY_MS)}"
    assert desk.call("/track/click", query, "POST").status_code == 403
    assert not desk.taken


@pytest.mark.parametrize("kind", [kind for kind in EventKind if kind != "click"])
def test_late_event_that_nobody_follows_is_refused(kind: str) -> None:
    late = msgspec.structs.replace(BID, bid_at_ms=NOW_MS - DAY_MS)
    desk = Desk()
    assert desk.call(path_of(kind), f"t={token_of(kind, late)}").status_code == 403
    assert not desk.taken


def test_forged_click_leads_nowhere_however_late_it_says_it_is() -> None:
    forger = Signer({3: bytes(32)})
    late = msgspec.structs.replace(BID, bid_at_ms=NOW_MS - DAY_MS)
    for token in (token_of("click", late, forger), token_of("impression", late)):
        reply = Desk().call("/track/click", f"t={token}")
        assert (reply.status_code, reply.headers.get("location")) == (403, None)


def test_late_click_on_a_creative_that_is_gone_is_not_found() -> None:
    gone = msgspec.structs.replace(BID, bid_at_ms=NOW_MS - DAY_MS, creative_id=99)
    assert Desk().call("/track/click", f"t={token_of('click', gone)}").status_code == 404


@pytest.mark.parametrize("kind", list(EventKind))
@pytest.mark.parametrize("sound", [True, False])
def test_head_answers_as_get_does_and_counts_nothing(kind: str, sound: bool) -> None:
    desk = Desk()
    query = f"t={token_of(kind) if sound else 'x'}&p=nonsense&o=undefined"
    before = desk.everything_counted()
    head = desk.call(path_of(kind), query, "HEAD")
    assert not desk.taken
    assert desk.everything_counted() == before
    told = desk.call(path_of(kind), query)
    assert (head.status_code, head.content) == (told.status_code, b"")
    assert {name: "" if name == "location" else value for name, value in head.headers.items()} == {
        name: "" if name == "location" else value for name, value in told.headers.items()
    }


def test_head_of_a_click_hands_out_no_id_that_could_claim_a_conversion() -> None:
    location = Desk().call("/track/click", f"t={token_of('click')}", "HEAD").headers["location"]
    assert parse_qs(urlsplit(location).query, keep_blank_values=True)["click"] == [""]
    location = Desk().call("/track/click", f"t={token_of('click')}").headers["location"]
    [click_id] = parse_qs(urlsplit(location).query)["click"]
    assert SIGNER.verify(click_id, Purpose.CONVERSION, NOW_MS, 60).clicked_at_ms == NOW_MS


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/metrics"])
def test_head_of_health_and_metrics_answers_as_get_does(path: str) -> None:
    # Of one: metrics tell when they began.
    desk = Desk()
    head, told = desk.call(path, "", "HEAD"), desk.call(path, "")
    assert (head.status_code, head.content) == (200, b"")
    assert told.content
    assert head.headers == told.headers


@pytest.mark.parametrize("origin", ["https://pub.example", "null"])
@pytest.mark.parametrize("path", ["/events", "/track/click", "/track/impression", "/notice/win"])
def test_pages_of_any_origin_may_tell_events_with_whatever_their_browser_sends(
    path: str, origin: str
) -> None:
    reply = Desk().call(path, "", "OPTIONS", **{**PREFLIGHT, "Origin": origin})
    assert reply.status_code == 200
    granted = {name: value for name, value in reply.headers.items() if name.startswith("access")}
    assert granted["access-control-allow-origin"] == origin
    # sendBeacon always sends with credentials, for which * is no answer.
    assert granted["access-control-allow-credentials"] == "true"
    assert "POST" in granted["access-control-allow-methods"].split(", ")
    assert granted["access-control-allow-headers"] == "content-type"
    assert reply.headers["vary"] == "Origin"


@pytest.mark.parametrize("sound", [True, False])
def test_page_hears_what_became_of_its_event(sound: bool) -> None:
    query = f"t={token_of('impression') if sound else 'x'}"
    reply = Desk().call("/track/impression", query, **ORIGIN)
    assert reply.status_code == (200 if sound else 403)
    assert reply.headers["access-control-allow-origin"] == ORIGIN["Origin"]


@pytest.mark.parametrize("path", ["/metrics", "/health/ready"])
def test_page_of_another_origin_may_not_read_what_is_the_operators(path: str) -> None:
    for method in ("GET", "OPTIONS"):
        headers = Desk().call(path, "", method, **PREFLIGHT).headers
        assert not any(name.startswith("access-control") for name in headers)


def test_who_is_no_page_hears_nothing_of_origins() -> None:
    headers = Desk().call("/track/impression", f"t={token_of('impression')}").headers
    assert not {"vary", "access-control-allow-origin"} & set(headers)


@pytest.mark.parametrize("tail", ["/", "//", "?a", "%3Ft%3Dx", "&x=1", ";jsessionid=1"])
def test_what_is_run_into_the_path_costs_no_event(tail: str) -> None:
    desk = Desk()
    assert (
        desk.call(f"/notice/bill{tail.partition('?')[0]}", f"t={token_of('bill')}").status_code
        == 204
    )
    assert len(desk.taken) == 1


def test_address_that_was_encoded_whole_is_understood() -> None:
    desk = Desk("burl")
    whole = quote(f"bill?t={token_of('bill')}&p=1.40", safe="")
    assert desk.call(f"/notice/{whole}", "").status_code == 204
    assert desk.taken[0].event.cost_nanos == 1_400_000


@pytest.mark.parametrize("path", ["/track/click/x", "/track/clicks", "/track/clickx", "/track/1"])
def test_other_words_are_no_events(path: str) -> None:
    assert Desk().call(path, f"t={token_of('click')}").status_code == 404


VALUES = st.sampled_from(
    ["", "12,50", "1%2C299.00", "undefined", "%7Border_total%7D", "-12.50", "%E2%82%AC5", "1e99"]
)
CURRENCIES = st.sampled_from(["", "USD", "EUR", "undefined", "%24", "EURO", "{{currency}}"])
ORDERS = st.sampled_from(["", "A17", "A%2017", "Gr%C3%B6%C3%9Fe", "x" * 500, "undefined", "%00"])


@settings(max_examples=300, deadline=None)
@given(VALUES, CURRENCIES, ORDERS)
def test_conversion_counts_whatever_its_details_are(value: str, currency: str, order: str) -> None:
    desk = Desk()
    query = f"t={token_of('conversion')}&v={value}&vc={currency}&o={order}"
    assert desk.call("/track/conversion", query).status_code == 200
    assert [tracked.event.kind for tracked in desk.taken] == ["conversion"]


def test_what_is_left_out_is_counted_by_detail_and_reason() -> None:
    desk = Desk()
    query = f"t={token_of('conversion')}&v=-1&vc=undefined&o=%7B%7Border%7D%7D"
    desk.call("/track/conversion", query)
    assert desk.left_out("conversion", "value", "negative") == 1
    assert desk.left_out("conversion", "currency", "placeholder") == 1
    assert desk.left_out("conversion", "order_id", "placeholder") == 1
    desk.call("/track/impression", f"t={token_of('impression')}&p=nonsense&c=EURO&s=7&q=-1")
    for detail in ("price", "currency", "shown_at_ms", "quantity"):
        assert desk.left_out("impression", detail, "unreadable") == 1


def test_macros_that_say_nothing_are_not_counted_as_left_out() -> None:
    desk = Desk()
    before = desk.everything_counted()
    told = (
        "p=${AUCTION_PRICE}&c=${AUCTION_CURRENCY}&s=AUDIT&q=&m=%24%7BAUCTION_MIN_TO_WIN%7D&b=AUDIT"
    )
    desk.call("/track/impression", f"t={token_of('impression')}&{told}")
    new = {key for key, value in desk.everything_counted().items() if before.get(key) != value}
    assert {name for name, *_ in new} == {"adctl_events_total"}


PLACEHOLDERS = (
    "undefined",
    "null",
    "%7Border_id%7D",
    "%%ORDER_ID%%",
    "[ORDER_ID]",
    "${ORDER}",
    "0",
)


@pytest.mark.parametrize("order", PLACEHOLDERS)
def test_orders_of_two_clicks_whose_id_nobody_filled_in_both_count(order: str) -> None:
    desk = Desk()
    for number, value in ((1, "10"), (2, "20")):
        click = msgspec.structs.replace(BID, bid_id=f"{number:024x}")
        desk.call("/track/conversion", f"t={token_of('conversion', click)}&o={order}&v={value}")
    assert len({tracked.event.event_id for tracked in desk.taken}) == 2
    assert [tracked.event.order_id for tracked in desk.taken] == ["", ""]


@pytest.mark.parametrize("order", PLACEHOLDERS)
def test_claim_without_an_order_is_refused_with_the_reason(order: str) -> None:
    desk = Desk()
    reply = desk.call("/track/conversion", f"k={ADVERTISER_KEY}&u=reader-7&o={order}")
    assert reply.status_code == 400
    assert reply.text.startswith("o: got")
    assert not desk.taken


@pytest.mark.parametrize("user", ["", "undefined", "00000000-0000-0000-0000-000000000000"])
def test_claim_of_nobodys_conversion_is_refused(user: str) -> None:
    reply = Desk().call("/track/conversion", f"k={ADVERTISER_KEY}&u={user}&o=A17")
    assert reply.status_code == 400
    assert reply.text.startswith("u: got")


@pytest.mark.parametrize("order", ["A%2017", "Gr%C3%B6%C3%9Fe", "x" * 100])
def test_order_with_an_unusual_id_counts_once_however_it_is_told(order: str) -> None:
    desk = Desk()
    for query in (f"t={token_of('conversion')}", f"k={ADVERTISER_KEY}&u=reader-7"):
        desk.call("/track/conversion", f"{query}&o={order}")
        desk.call("/track/conversion", f"{query}&o=+{order}%20")
    assert len({tracked.event.order_id for tracked in desk.taken}) == 1
    assert len({tracked.event.event_id.rpartition(":")[2] for tracked in desk.taken}) == 1
