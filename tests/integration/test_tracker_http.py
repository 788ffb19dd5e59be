"""The tracker as browsers and exchanges see it: a process, HTTP, a Redis that comes and goes."""

from __future__ import annotations

import http.client
import re
import time
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, quote, urlsplit

import msgspec
import pytest

from adctl.config import RedisSettings
from adctl.control.daemon_process import Health
from adctl.delivery.auction import Candidate, ImpAuction
from adctl.delivery.currency import BidCurrency
from adctl.delivery.tokens import BidToken, Purpose, Signer
from adctl.models import (
    BidStrategy,
    Campaign,
    Creative,
    CreativeKind,
    Event,
    EventKind,
    FrequencyCap,
    Status,
)
from adctl.stores import keys
from adctl.stores.auction_ledger import RedisLedger
from adctl.stores.budgets import Budgets, BudgetState
from adctl.stores.catalog import CatalogStore
from adctl.stores.redis import connect
from daemons.tracker.app import PIXEL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import redis

    from adctl.control.daemon_process import DaemonProcess
    from adctl.stores.embedded.server import Server
    from adctl.stores.redis import Script

KEY = bytes(range(32))
SIGNER = Signer({3: KEY})
FORGER = Signer({3: bytes(32)})
USER = "ab" * 16
PRICE = 2_000_000
TOKEN_TTL_SEC = 3600
CAMPAIGN = Campaign(
    id=1,
    advertiser_id=1,
    name="campaign",
    status=Status.ACTIVE,
    bid_strategy=BidStrategy.CPM,
    bid_amount_micros=PRICE,
    daily_budget_nanos=10**15,
    total_budget_nanos=10**15,
    starts_at=datetime(2020, 1, 1, tzinfo=UTC),
    caps=(FrequencyCap(100_000, 3600),),
    creatives=(
        Creative(
            id=2,
            campaign_id=1,
            name="banner",
            kind=CreativeKind.BANNER,
            status=Status.ACTIVE,
            landing_url="https://advertiser.example/shop?from=ad&click={click_id}",
            adomain=("advertiser.example",),
            width=300,
            height=250,
        ),
    ),
)


class PlainScripts:
    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def run(self, script: Script, keys: Sequence[str], args: Sequence[str | int]) -> Any:
        return script.run(self._client, keys, args)


class Reply(NamedTuple):
    status: int
    body: bytes
    headers: http.client.HTTPMessage


class Street:
    """Bids that were made, and what is told of them."""

    def __init__(self, port: int, client: redis.Redis) -> None:
        self.redis = client
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        self._budgets = Budgets(client)
        self._ledger = RedisLedger(PlainScripts(client), hold_sec=120)

    def bid(self, **changes: Any) -> BidToken:
        """Reserve a bid as the bidder does, and return what its URLs carry."""
        now_ms = time.time_ns() // 1_000_000
        bucket = now_ms // 60_000
        candidate = Candidate(CAMPAIGN, CAMPAIGN.creatives[0], PRICE, CAMPAIGN.caps)
        [verdict] = self._ledger.decide([ImpAuction("1", 0, (candidate,))], USER, bucket, now_ms)
        assert verdict.winner == 0
        token = BidToken(
            bid_id=f"{next(NUMBERS):024x}",
            campaign_id=1,
            creative_id=2,
            exchange="default",
            price_cpm_micros=PRICE,
            bid_at_ms=now_ms,
            bucket=bucket,
            user_hash=USER,
            cap_windows=(3600,),
        )
        return msgspec.structs.replace(token, **changes)

    def call(self, path: str, method: str = "GET") -> Reply:
        self.connection.request(method, path)
        reply = self.connection.getresponse()
        return Reply(reply.status, reply.read(), reply.headers)

    def tell(self, bid: BidToken, kind: str, method: str = "GET", price: str = "1.5") -> Reply:
        return self.call(url(bid, kind, price), method)

    def metric(self, name: str, **labels: str) -> float:
        text = self.call("/metrics").body.decode()
        told = ",".join(f'{label}="{value}"' for label, value in labels.items())
        found = re.search(rf"^{name}\{{{re.escape(told)}\}} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0

    @property
    def events(self) -> list[Event]:
        entries = self.redis.xrange(keys.events(0))
        return [msgspec.json.decode(fields["e"], type=Event) for _, fields in entries]

    @property
    def money(self) -> BudgetState:
        return self._budgets.read([1])[1]


NUMBERS = count(1)


def url(bid: BidToken, kind: str, price: str = "1.5", signer: Signer = SIGNER) -> str:
    notice, impression, click, conversion = signer.sign(bid)
    tokens = {"impression": impression, "click": click, "conversion": conversion}
    place = "track" if kind in tokens else "notice"
    return f"/{place}/{kind}?t={tokens.get(kind, notice)}&p={price}"


def eventually(check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not check():
        assert time.monotonic() < deadline, "it did not come about within 10 s"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def tracker(own_redis_url: str, start_daemon: Callable[..., DaemonProcess]) -> DaemonProcess:
    return start_daemon(
        "tracker",
        ADCTL_REDIS_URL=own_redis_url,
        ADCTL_SIGNING_KEYS=f"3:{KEY.hex()}",
        ADCTL_SIGNING_USER_KEY=KEY.hex(),
        ADCTL_TRACKER_TOKEN_TTL_SEC=str(TOKEN_TTL_SEC),
        # Nobody listens: the tracker must do without the api.
        ADCTL_API_PORT="1",
    )


@pytest.fixture
def street(tracker: DaemonProcess, own_redis_url: str) -> Iterator[Street]:
    with connect(own_redis_url, RedisSettings()) as client:
        client.flushdb()
        CatalogStore(client).fill([CAMPAIGN])
        Budgets(client).sync(CAMPAIGN, datetime.now(UTC).date(), 0, 0)
        street = Street(tracker.port, client)
        yield street
        street.connection.close()


def test_impression_gets_a_pixel_nobody_caches_and_settles(street: Street) -> None:
    reply = street.tell(street.bid(), "impression", price="1.5")
    assert (reply.status, reply.body) == (200, PIXEL)
    assert reply.headers["Content-Type"] == "image/gif"
    assert reply.headers["Cache-Control"] == "no-store"
    assert (street.money.spent, street.money.reserved) == (1_500_000, 0)
    assert street.money.adds_up
    [event] = street.events
    assert (event.kind, event.cost_nanos, event.user_hash) == (
        EventKind.IMPRESSION,
        1_500_000,
        USER,
    )


@pytest.mark.parametrize("kind", ["impression", "click", "conversion", "win", "bill", "loss"])
def test_server_that_posts_an_event_is_told_nothing(street: Street, kind: str) -> None:
    reply = street.tell(street.bid(), kind, "POST")
    assert (reply.status, reply.body) == (204, b"")
    assert [event.kind for event in street.events] == [kind]


@pytest.mark.parametrize("kind", ["win", "bill", "loss"])
def test_notice_is_answered_without_a_body_on_a_connection_that_stays(
    street: Street, kind: str
) -> None:
    street.connection.connect()
    sock = street.connection.sock
    for _ in range(3):
        reply = street.tell(street.bid(), kind)
        assert (reply.status, reply.body) == (204, b"")
    assert street.connection.sock is sock


def test_click_leads_to_the_landing_page_with_an_id_that_proves_a_conversion(
    street: Street,
) -> None:
    bid = street.bid()
    reply = street.tell(bid, "click")
    assert reply.status == 302
    location = urlsplit(reply.headers["Location"])
    assert (location.netloc, location.path) == ("advertiser.example", "/shop")
    query = parse_qs(location.query, strict_parsing=True)
    assert query["from"] == ["ad"]
    [click_id] = query["click"]
    assert SIGNER.verify(click_id, Purpose.CONVERSION, bid.bid_at_ms, 60) == bid
    assert street.call(f"/track/conversion?t={quote(click_id)}").status == 200
    assert [event.kind for event in street.events] == ["click", "conversion"]


def test_click_never_leads_where_its_url_says(street: Street) -> None:
    elsewhere = quote("https://evil.example/")
    asked = "&".join(f"{name}={elsewhere}" for name in ("url", "u", "redirect", "to", "landing"))
    location = street.call(f"{url(street.bid(), 'click')}&{asked}").headers["Location"]
    assert urlsplit(location).netloc == "advertiser.example"
    assert "evil" not in location


def test_click_on_a_creative_nobody_knows_is_kept_and_asked_to_come_again(street: Street) -> None:
    reply = street.tell(street.bid(creative_id=99), "click")
    assert reply.status == 503
    assert reply.headers["Retry-After"]
    assert [event.kind for event in street.events] == ["click"]


@pytest.mark.parametrize("price", ["${AUCTION_PRICE}", quote("${AUCTION_PRICE}"), "", "AUDIT", "x"])
def test_unpriced_impression_settles_at_the_bids_own_price(street: Street, price: str) -> None:
    assert street.tell(street.bid(), "impression", price=price).status == 200
    assert street.money.spent == PRICE
    assert street.events[0].unpriced


def test_price_above_the_bid_is_not_paid(street: Street) -> None:
    street.tell(street.bid(), "impression", price="999999")
    assert street.money.spent == PRICE


def test_loss_gives_back_what_was_reserved(street: Street) -> None:
    bid = street.bid()
    assert street.money.reserved == PRICE
    street.call(url(bid, "loss") + "&r=102")
    assert (street.money.reserved, street.money.spent) == (0, 0)
    assert street.events[0].loss_reason == 102


def test_repeated_event_is_answered_alike_and_counted_as_a_duplicate(street: Street) -> None:
    labels = {"kind": "impression", "verdict": "duplicate"}
    before = street.metric("adctl_events_total", **labels)
    bid = street.bid()
    replies = [street.tell(bid, "impression") for _ in range(3)]
    assert [(reply.status, reply.body) for reply in replies] == [(200, PIXEL)] * 3
    assert len(street.events) == 1
    assert street.money.spent == 1_500_000
    assert street.metric("adctl_events_total", **labels) == before + 2


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("kind", ["win", "bill", "loss", "impression"])
def test_repeated_notice_with_other_macros_changes_nothing(
    street: Street, kind: str, method: str
) -> None:
    bid = street.bid()
    told = url(bid, kind, "1.25") + "&c=USD&m=1.20&b=0.625&r=102"
    assert street.call(told, method).status in (200, 204)
    money, [first] = street.money, street.events
    for again in (told, url(bid, kind, "1.9") + "&c=XYZ&m=AUDIT&b=&q=3&s=1&r=1", url(bid, kind)):
        assert street.call(again, method).status in (200, 204)
    assert (street.money, street.events) == (money, [first])
    assert (first.min_to_win_micros, first.market_bid_ratio_ppm) == (1_200_000, 625_000)


def test_price_in_the_bids_currency_is_booked_at_the_signed_rate(street: Street) -> None:
    bid = street.bid(currency=BidCurrency("EUR", Decimal("1.1")))
    street.call(url(bid, "impression", "1.5") + "&c=EUR")
    assert (street.money.spent, street.events[0].unpriced) == (1_650_000, False)


def test_price_in_a_currency_nobody_has_a_rate_of_is_unpriced(street: Street) -> None:
    street.call(url(street.bid(), "impression", "0.1") + "&c=EUR")
    assert (street.money.spent, street.events[0].unpriced) == (PRICE, True)


@pytest.mark.parametrize("name", ["c", "q", "m", "b", "s", "r"])
@pytest.mark.parametrize(
    "value", ["", "AUDIT", "%24%7BAUCTION_X%7D", "%00%ff", "-1", "1e999999999"]
)
def test_macro_that_makes_no_sense_is_never_an_error(street: Street, name: str, value: str) -> None:
    assert street.call(f"{url(street.bid(), 'bill')}&{name}={value}").status == 204
    [event] = street.events
    assert event.min_to_win_micros is None
    assert event.market_bid_ratio_ppm is None
    assert event.shown_at_ms is None


def expired(bid: BidToken) -> BidToken:
    return msgspec.structs.replace(bid, bid_at_ms=bid.bid_at_ms - (TOKEN_TTL_SEC + 5) * 1000)


@pytest.mark.parametrize(
    ("reason", "forge"),
    [
        ("forged", lambda bid: url(bid, "impression", signer=FORGER)),
        ("forged", lambda bid: url(bid, "click").replace("/click", "/impression")),
        ("forged", lambda bid: url(bid, "win").replace("/notice/win", "/track/impression")),
        ("forged", lambda _: "/track/impression"),
        ("forged", lambda _: "/track/impression?t="),
        ("forged", lambda _: "/track/impression?t=.&p=1"),
        ("forged", lambda _: "/track/impression?t=%00%ff%F0&p=1"),
        ("forged", lambda _: "/track/impression?t=" + "A" * 5000),
        ("forged", lambda bid: url(bid, "impression").replace("?t=", "?t=x&t=")),
        ("forged", lambda bid: url(bid, "impression").replace("?t=", "?t=A")),
        ("expired", lambda bid: url(expired(bid), "impression")),
    ],
    ids=[
        "another key",
        "a click's",
        "a notice's",
        "missing",
        "empty",
        "nothing signed",
        "no text",
        "far too long",
        "two of them",
        "shifted",
        "expired",
    ],
)
def test_call_without_a_good_token_is_refused_counted_and_changes_nothing(
    street: Street, reason: str, forge: Callable[[BidToken], str]
) -> None:
    path = forge(street.bid())
    labels = {"kind": "impression", "reason": reason}
    before = street.metric("adctl_events_rejected_total", **labels)
    stored = everything(street.redis)
    assert [street.call(path, method).status for method in ("GET", "POST")] == [403, 403]
    assert everything(street.redis) == stored
    assert street.metric("adctl_events_rejected_total", **labels) == before + 2


def everything(client: redis.Redis) -> dict[str, object]:
    read = {
        "hash": client.hgetall,
        "set": client.smembers,
        "stream": client.xrange,
        "string": client.get,
    }
    return {key: read[client.type(key)](key) for key in client.scan_iter()}


@pytest.mark.parametrize(
    "path", ["/track/win", "/notice/impression", "/track/view", "/track/", "/track", "/", "/x"]
)
def test_other_events_and_paths_do_not_exist(street: Street, path: str) -> None:
    assert street.call(f"{path}?t=x").status == 404
    assert not street.events


@pytest.mark.parametrize("method", ["PUT", "DELETE", "HEAD"])
def test_other_methods_are_not_allowed(street: Street, method: str) -> None:
    assert street.tell(street.bid(), "impression", method).status == 405
    assert not street.events


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
