"""The main job, as an operator does it: `adctl up`, a campaign from the CLI, a bid, an impression.

Everything runs as its own process, on stores of its own. ADCTL_TEST_REQUESTS names a folder of
bid requests to use beside the project's own.
"""

from __future__ import annotations

import html
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from adctl.config import load_settings
from adctl.stores.embedded.ports import free_port
from adctl.stores.endpoints import Endpoints, resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DAEMONS = ("bidder", "tracker", "api", "flusher", "consumer", "pacer")
OWN_REQUESTS = Path(__file__).parent / "requests"
PRICE = "1.234567"
COST_NANOS = 1_234_567


class Adctl:
    """The program, run as a person runs it."""

    def __init__(self, state_dir: Path) -> None:
        self.ports = [free_port("127.0.0.1") for _ in DAEMONS]
        self.environment = os.environ | {
            "ADCTL_STATE_DIR": str(state_dir),
            **{
                f"ADCTL_{name.upper()}_PORT": str(port)
                for name, port in zip(DAEMONS, self.ports, strict=True)
            },
        }
        self.state_dir = state_dir
        self.bidder, self.tracker = self.ports[0], self.ports[1]

    def run(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "adctl", *words],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def read(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--output", "json"))

    def start(self) -> subprocess.Popen[bytes]:
        with (self.state_dir / "up.log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "adctl", "up"],
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def endpoints(self) -> Endpoints:
        return resolve(load_settings(overrides={"state_dir": self.state_dir}))


@pytest.fixture(scope="module")
def adctl() -> Iterator[Adctl]:
    folder = Path(tempfile.mkdtemp(prefix="adctl-main-"))
    folder.chmod(0o711)
    program = Adctl(folder)
    up = program.start()
    try:
        for port in program.ports:
            eventually(lambda port=port: get(port, "/health/ready")[0] == 200, seconds=60)
        yield program
    finally:
        up.send_signal(signal.SIGINT)
        assert up.wait(40) == 0, (folder / "up.log").read_text()
        shutil.rmtree(folder)


def eventually(holds: Callable[[], bool], *, seconds: float) -> float:
    """Wait until ``holds``; how long it took."""
    began = time.monotonic()
    while True:
        try:
            if holds():
                return time.monotonic() - began
        except OSError:
            pass
        assert time.monotonic() - began < seconds, f"not within {seconds} s"
        time.sleep(0.05)


def get(port: int, path: str) -> tuple[int, bytes]:
    return call(port, "GET", path)


def call(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        client.request(method, path, body)
        reply = client.getresponse()
        return reply.status, reply.read()
    finally:
        client.close()


def requests_to_try() -> list[bytes]:
    folders = [OWN_REQUESTS, *map(Path, filter(None, [os.environ.get("ADCTL_TEST_REQUESTS")]))]
    return [file.read_bytes() for folder in folders for file in sorted(folder.glob("*.json"))]


def offers_box_to_known_user(body: bytes) -> bool:
    try:
        request = json.loads(body)
    except ValueError:
        return False
    user = request.get("user") or {}
    sizes = json.dumps([imp.get("banner") for imp in request.get("imp", [])])
    return bool(user.get("buyeruid") or user.get("id")) and '"w": 300, "h": 250' in sizes


def bid_on(adctl: Adctl, body: bytes) -> dict[str, Any] | None:
    status, answer = call(adctl.bidder, "POST", "/bid-request", body)
    assert status in (200, 204)
    if status == 204:
        return None
    bid: dict[str, Any] = json.loads(answer)["seatbid"][0]["bid"][0]
    return bid


def impression_path(bid: dict[str, Any], price: str) -> str:
    [url] = re.findall(r'<img src="([^"]*/track/impression[^"]*)"', bid["adm"])
    parts = urlsplit(html.unescape(url).replace("${AUCTION_PRICE}", price))
    return f"{parts.path}?{parts.query}"


def kafka_messages(endpoints: Endpoints, topic: str) -> list[dict[str, Any]]:
    consumer = Consumer(
        {
            "bootstrap.servers": endpoints.kafka_bootstrap,
            "group.id": "looking",
            "enable.auto.commit": False,
        }
    )
    partitions = consumer.list_topics(topic, 10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
    found: list[dict[str, Any]] = []
    deadline = time.monotonic() + 15
    while not found and time.monotonic() < deadline:
        found = [json.loads(m.value()) for m in consumer.consume(100, 0.5) if m.error() is None]
    consumer.close()
    return found


def test_campaign_bids_is_seen_flushed_and_reported_with_the_exact_spend(adctl: Adctl) -> None:
    adctl.run("advertiser", "create", "--name", "Acme")
    adctl.run(
        *("campaign", "create", "--advertiser", "Acme", "--name", "Spring"),
        *("--daily-budget", "50", "--budget", "500", "--bid", "2.00", "--cap", "3/24h"),
    )
    adctl.run(
        *("creative", "create", "--campaign", "Spring", "--name", "box", "--size", "300x250"),
        *("--landing-url", "https://acme.example/", "--image-url", "https://acme.example/b.png"),
    )
    suitable = [body for body in requests_to_try() if offers_box_to_known_user(body)]
    assert suitable
    answers = [(body, bid) for body in suitable if (bid := bid_on(adctl, body)) is not None]
    assert answers
    body, bid = answers[-1]
    user = json.loads(body)["user"]

    assert get(adctl.tracker, impression_path(bid, PRICE))[0] == 200

    with psycopg.connect(adctl.endpoints.postgres_url, autocommit=True) as postgres:
        rolled_up = "SELECT FROM rollup_delivery WHERE impressions > 0"
        took_sec = eventually(lambda: bool(postgres.execute(rolled_up).fetchall()), seconds=10)
    assert took_sec < 3
    [row] = adctl.read("report", "performance", "--since", "1h")
    assert (row["impressions"], row["spend_nanos"], row["spend"]) == (1, COST_NANOS, "0.001234567")

    with psycopg.connect(adctl.endpoints.postgres_url) as postgres:
        [event] = postgres.execute("SELECT kind, bid_id, cost_nanos FROM event").fetchall()
        entries = postgres.execute(
            "SELECT account, amount_nanos FROM ledger_entry ORDER BY account"
        ).fetchall()
    assert event == ("impression", bid["id"], COST_NANOS)
    assert entries == [("campaign", COST_NANOS), ("exchange", -COST_NANOS)]

    [message] = kafka_messages(adctl.endpoints, "impressions")
    assert (message["bid_id"], message["cost_nanos"]) == (bid["id"], COST_NANOS)

    [cap] = adctl.read("fcap", "show", user.get("buyeruid") or user["id"])
    assert cap["impressions"] == 1
    money = adctl.read("budget", "show", "Spring")
    assert (money["spent"], money["ledger_spent"], money["adds_up"]) == (
        "0.001234567",
        "0.001234567",
        True,
    )

    assert get(adctl.tracker, impression_path(bid, PRICE))[0] == 200
    time.sleep(2)
    assert adctl.read("report", "performance", "--since", "1h") == [row]
    assert adctl.read("budget", "show", "Spring") == money
    [cap_again] = adctl.read("fcap", "show", user.get("buyeruid") or user["id"])
    assert cap_again == cap


def test_paused_campaign_stops_bidding_within_seconds(adctl: Adctl) -> None:
    [body] = [b for b in requests_to_try() if offers_box_to_known_user(b)][:1]
    request = json.loads(body) | {"user": {"id": "somebody new"}}
    body = json.dumps(request).encode()
    assert bid_on(adctl, body) is not None
    adctl.run("campaign", "pause", "Spring")
    eventually(lambda: bid_on(adctl, body) is None, seconds=5)
    adctl.run("campaign", "resume", "Spring")
    eventually(lambda: bid_on(adctl, body) is not None, seconds=5)


def test_forged_event_is_refused_and_leaves_no_trace(adctl: Adctl) -> None:
    body = next(b for b in requests_to_try() if offers_box_to_known_user(b))
    bid = bid_on(adctl, body)
    assert bid is not None
    path = impression_path(bid, PRICE)
    token, _, tag = path.partition(".")
    forged = f"{token}.{'B' if tag[0] == 'A' else 'A'}{tag[1:]}"
    before = adctl.read("budget", "show", "Spring")
    assert get(adctl.tracker, forged)[0] == 403
    after = adctl.read("budget", "show", "Spring")
    for amount in ("spent", "reserved", "available", "ledger_spent"):
        assert after[amount] == before[amount]
    assert (
        b'adctl_events_rejected_total{kind="impression",reason="forged"}'
        in (get(adctl.tracker, "/metrics")[1])
    )


def test_doctor_finds_everything_in_order(adctl: Adctl) -> None:
    checks = adctl.read("doctor")
    assert {check["outcome"] for check in checks} == {"ok"}, checks


def test_second_up_on_the_same_folder_says_so(adctl: Adctl) -> None:
    again = subprocess.run(
        [sys.executable, "-m", "adctl", "up"],
        env=adctl.environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert again.returncode == 6
    assert "in use by another adctl" in again.stderr
