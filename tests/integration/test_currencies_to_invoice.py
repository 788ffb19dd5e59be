"""A bid in euros, yen and pounds, from the request to the line of an invoice, exact to the nano."""

from __future__ import annotations

import html
import http.client
import json
import re
import time
from decimal import Decimal
from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from typer.testing import CliRunner

from adctl.cli.root import app
from adctl.streams.admin import KafkaAdmin

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import psycopg
    import redis

    from adctl.config import KafkaSettings
    from adctl.control.daemon_process import DaemonProcess
    from adctl.stores.endpoints import Endpoints

RATES = {"EUR": "1.1111", "JPY": "0.006667", "GBP": "1.25"}
# By exchange: its billing event, and in which order everything is told.
EXCHANGES = {
    "pixel": ("impression", ("win", "bill", "impression", "click", "conversion")),
    "burl": ("burl", ("win", "impression", "bill", "click", "conversion")),
    "nurl": ("nurl", ("impression", "win", "bill", "click", "conversion")),
}
BILLS = {"impression": "impression", "burl": "bill", "nurl": "win"}
KEY = bytes(range(32)).hex()


class Bid(NamedTuple):
    """One bid, and the part of its price that is told for it."""

    exchange: str
    currency: str
    asked: Decimal
    urls: dict[str, str]

    @property
    def told(self) -> Decimal:
        return (self.asked * 7 / 9).quantize(Decimal("0.000001"))

    @property
    def cost_nanos(self) -> int:
        """What one impression costs at the told price: a CPM in micros is nanos."""
        return ceil(Fraction(self.told) * Fraction(RATES[self.currency]) * 1_000_000)


class Market:
    """An exchange and its users, as daemons see them."""

    def __init__(self, bidder: DaemonProcess, tracker: DaemonProcess) -> None:
        self._ports = {"bid": bidder.port, "track": tracker.port}

    def bid(self, exchange: str, currency: str, number: int) -> Bid:
        request = {
            "id": f"{exchange}-{currency}-{number}",
            "at": 1,
            "cur": [currency],
            "imp": [
                {
                    "id": "1",
                    "bidfloor": 0.5,
                    "bidfloorcur": "USD",
                    "banner": {"format": [{"w": 300, "h": 250}]},
                }
            ],
            "device": {"devicetype": 2, "geo": {"country": "DEU"}},
            "user": {"id": f"reader-{exchange}-{currency}-{number}"},
            "site": {"domain": "pub.example"},
        }
        status, answer, _ = self._call("bid", f"/bid-request/{exchange}", json.dumps(request))
        assert status == 200, answer
        reply = json.loads(answer, parse_float=Decimal)
        assert reply["cur"] == currency
        [bid] = reply["seatbid"][0]["bid"]
        markup = html.unescape(bid["adm"])
        urls = {
            "win": bid["nurl"],
            "bill": bid["burl"],
            "loss": bid["lurl"],
            "impression": _only(r'src="([^"]*/track/impression[^"]*)"', markup),
            "click": _only(r'href="([^"]*/track/click[^"]*)"', markup),
        }
        return Bid(exchange, currency, bid["price"], urls)

    def tell(self, bid: Bid, kind: str) -> None:
        if kind == "conversion":
            status, _, location = self._call("track", self._path(bid, "click"))
            assert status == 302
            click_id = urlsplit(location).query.partition("click=")[2]
            path = f"/track/conversion?t={click_id}&o=order-{bid.exchange}-{bid.currency}"
            assert self._call("track", f"{path}&v=12.50&vc={bid.currency}")[0] == 200
            return
        assert self._call("track", self._path(bid, kind))[0] in (200, 204, 302)

    def _path(self, bid: Bid, kind: str) -> str:
        parts = urlsplit(bid.urls[kind])
        query = parts.query.replace("${AUCTION_PRICE}", str(bid.told))
        query = query.replace("${AUCTION_CURRENCY}", bid.currency).replace("${AUCTION_LOSS}", "102")
        return f"{parts.path}?{query}"

    def _call(self, to: str, path: str, body: str | None = None) -> tuple[int, str, str]:
        client = http.client.HTTPConnection("127.0.0.1", self._ports[to], timeout=10)
        client.request("POST" if body else "GET", path, body)
        reply = client.getresponse()
        answer = reply.status, reply.read().decode("latin-1"), reply.headers.get("Location", "")
        client.close()
        return answer


def test_every_currency_and_billing_event_is_exact_from_request_to_invoice(
    endpoints: Endpoints,
    kafka: KafkaSettings,
    postgres: psycopg.Connection,
    redis_client: redis.Redis,
    start_daemon: Callable[..., DaemonProcess],
    tmp_path: Path,
) -> None:
    rates_file = tmp_path / "rates.toml"
    rates_file.write_text("".join(f'{code} = "{rate}"\n' for code, rate in RATES.items()))
    environment = {
        "ADCTL_POSTGRES_URL": endpoints.postgres_url,
        "ADCTL_REDIS_URL": endpoints.redis_url,
        "ADCTL_KAFKA_BOOTSTRAP": endpoints.kafka_bootstrap,
        "ADCTL_KAFKA_TOPIC_PREFIX": kafka.topic_prefix,
        "ADCTL_SIGNING_KEYS": f"1:{KEY}",
        "ADCTL_SIGNING_USER_KEY": KEY,
        "ADCTL_MONEY_RATES_FILE": str(rates_file),
        "ADCTL_EXCHANGES": json.dumps(
            {name: {"billing_event": event} for name, (event, _) in EXCHANGES.items()}
        ),
    }
    KafkaAdmin(kafka.bootstrap, kafka).ensure_topics()

    def adctl(*line: str) -> Any:
        env = {**environment, "ADCTL_STATE_DIR": str(tmp_path), "ADCTL_ACTOR": "ann"}
        ran = CliRunner().invoke(app, line, env=env, prog_name="adctl")
        assert ran.exit_code == 0, ran.output
        return ran.stdout

    def listed(*line: str) -> Any:
        return json.loads(adctl(*line, "--output", "json"))

    adctl("advertiser", "create", "--name", "Other")
    adctl("advertiser", "create", "--name", "Acme")
    bids_at = ("--budget", "500", "--bid", "2.00")
    adctl("campaign", "create", "--advertiser", "Acme", "--name", "Spring", *bids_at)
    landing = ("--landing-url", "https://acme.example/?click={click_id}")
    image = ("--size", "300x250", "--image-url", "https://cdn.acme.example/box.png")
    box = ("--campaign", "Spring", "--name", "box", *landing, *image)
    adctl("creative", "create", *box)
    for name in ("pacer", "flusher", "consumer"):
        start_daemon(name, **environment)
    bidder, tracker = (start_daemon(name, **environment) for name in ("bidder", "tracker"))
    market = Market(bidder, tracker)
    won, lost = [], []
    for exchange, (_, kinds) in EXCHANGES.items():
        for currency in RATES:
            bid = market.bid(exchange, currency, 1)
            won.append(bid)
            for kind in kinds:
                market.tell(bid, kind)
            lost.append(market.bid(exchange, currency, 2))
            market.tell(lost[-1], "loss")
    each = len(won)
    expected = {
        exchange: sum(b.cost_nanos for b in won if b.exchange == exchange) for exchange in EXCHANGES
    }
    total = sum(expected.values())

    def delivered() -> bool:
        found = listed("report", "performance", "--since", "1h", "--by", "exchange")
        rows = {row["exchange"]: row for row in found}
        return all(
            rows.get(exchange, {}).get("conversions") == 3
            and rows[exchange]["clicks"] == 3
            and rows[exchange]["spend_nanos"] == nanos
            for exchange, nanos in expected.items()
        )

    _eventually(delivered)
    assert postgres.execute("SELECT count(*) FROM rejected_event").fetchone() == (0,)
    stored = postgres.execute(
        "SELECT kind, count(*), count(DISTINCT bid_id) FROM event "
        "WHERE advertiser_id = 2 AND site = 'pub.example' AND country = 'DEU' AND device = '2' "
        "AND campaign_id = 1 AND NOT unpriced AND NOT late AND odd IN ('', 'unwon') GROUP BY 1"
    ).fetchall()
    kinds = ("win", "bill", "impression", "click", "conversion", "loss")
    assert sorted(stored) == sorted((kind, each, each) for kind in kinds)
    costs = postgres.execute(
        "SELECT exchange, kind, cost_nanos FROM event WHERE cost_nanos > 0 ORDER BY 1, 3"
    ).fetchall()
    assert costs == sorted(
        ((b.exchange, BILLS[EXCHANGES[b.exchange][0]], b.cost_nanos) for b in won),
        key=lambda one: (one[0], one[2]),
    )
    values = postgres.execute(
        "SELECT told_currency, value_nanos FROM event WHERE kind = 'conversion' GROUP BY 1, 2"
    ).fetchall()
    assert sorted(values) == sorted(
        (code, int(Fraction("12.5") * Fraction(rate) * 10**9)) for code, rate in RATES.items()
    )

    def billed() -> bool:
        # By a consumer group of its own.
        lines = listed("report", "lines")
        return {line["exchange"]: line["spend"] for line in lines} == {
            exchange: _amount(nanos) for exchange, nanos in expected.items()
        }

    _eventually(billed)
    assert "differ" not in adctl("report", "lines", "--check")
    statement = listed("report", "statement", "--advertiser", "Acme")
    assert _amount(total) in json.dumps(statement)
    shown = listed("budget", "show", "Spring")
    assert [shown[name] for name in ("spent", "ledger_spent", "reserved")] == [
        *(_amount(total), _amount(total), "0.00")
    ]
    adctl("budget", "prove")


def _only(pattern: str, text: str) -> str:
    [found] = re.findall(pattern, text)
    return str(found)


def _amount(nanos: int) -> str:
    whole, _, places = f"{Decimal(nanos).scaleb(-9):f}".partition(".")
    return f"{whole}.{places.rstrip('0').ljust(2, '0')}"


def _eventually(check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 40
    while not check():
        assert time.monotonic() < deadline, "it did not come about within 40 s"
        time.sleep(0.2)
