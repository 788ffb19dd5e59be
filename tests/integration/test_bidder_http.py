"""The bidder as exchanges see it: a process, HTTP, and stores that come and go."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import re
import signal
import socket
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from adctl.config import RedisSettings
from adctl.control.daemon_process import Health
from adctl.models import BidStrategy, Campaign, Creative, CreativeKind, Status
from adctl.stores.budgets import Budgets
from adctl.stores.catalog import CatalogStore
from adctl.stores.redis import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from adctl.control.daemon_process import DaemonProcess
    from adctl.stores.embedded.server import Server

CAMPAIGN = Campaign(
    id=1,
    advertiser_id=1,
    name="campaign",
    status=Status.ACTIVE,
    bid_strategy=BidStrategy.CPM,
    bid_amount_micros=2_000_000,
    daily_budget_nanos=10**15,
    total_budget_nanos=10**15,
    starts_at=datetime(2020, 1, 1, tzinfo=UTC),
    creatives=(
        Creative(
            id=2,
            campaign_id=1,
            name="banner",
            kind=CreativeKind.BANNER,
            status=Status.ACTIVE,
            landing_url="https://advertiser.example/",
            adomain=("advertiser.example",),
            width=300,
            height=250,
            image_url="https://cdn.example/a.png",
        ),
    ),
)
REQUEST: dict[str, Any] = {
    "id": "r-1",
    "imp": [{"id": "1", "banner": {"w": 300, "h": 250}, "bidfloor": 0.5, "secure": 1}],
    "site": {"domain": "news.example", "cat": ["IAB12"]},
    "device": {"devicetype": 4, "geo": {"country": "USA"}},
    "user": {"id": "visitor"},
    "tmax": 200,
    "cur": ["USD"],
}
BODY = json.dumps(REQUEST).encode()
NOTHING_FOR_IT = json.dumps({**REQUEST, "cur": ["EUR"]}).encode()
JSON = {"Content-Type": "application/json"}
MAX_BODY_BYTES = 65_536
EXCHANGES = {
    "other-seat": {"seat": "seat9"},
    "telling": {"no_bid": "nbr"},
    "slow": {"qps_limit": 3},
    "euros": {"currency": "EUR"},
}


class Reply(NamedTuple):
    status: int
    body: bytes
    headers: http.client.HTTPMessage


class Caller:
    """A connection to the bidder that is kept."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)

    def call(
        self,
        body: Any = BODY,
        headers: dict[str, str] = JSON,
        method: str = "POST",
        path: str = "/bid-request",
        **options: Any,
    ) -> Reply:
        self.connection.request(method, path, body, headers, **options)
        reply = self.connection.getresponse()
        return Reply(reply.status, reply.read(), reply.headers)

    def count(self, outcome: str) -> float:
        return self.metric(f'adctl_bid_requests_total{{outcome="{outcome}"}}')

    def metric(self, name: str) -> float:
        text = self.call(None, {}, "GET", "/metrics").body.decode()
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0


@pytest.fixture(scope="module")
def bidder(own_redis_url: str, start_daemon: Callable[..., DaemonProcess]) -> DaemonProcess:
    with connect(own_redis_url, RedisSettings()) as client:
        CatalogStore(client).fill([CAMPAIGN])
        Budgets(client).sync(CAMPAIGN, datetime.now(UTC).date(), 0, 0)
    return start_daemon(
        "bidder",
        ADCTL_REDIS_URL=own_redis_url,
        ADCTL_KAFKA_TOPIC_PREFIX="bidder-http-",
        ADCTL_TRACKER_PUBLIC_URL="https://t.example",
        ADCTL_BIDDER_MAX_BODY_BYTES=str(MAX_BODY_BYTES),
        ADCTL_EXCHANGES=json.dumps(EXCHANGES),
    )


@pytest.fixture
def caller(bidder: DaemonProcess) -> Iterator[Caller]:
    caller = Caller(bidder.port)
    yield caller
    caller.connection.close()


def raw(port: int, text: bytes) -> bytes:
    """Send ``text``; return what comes back until the server hangs up or says no more."""
    with socket.create_connection(("127.0.0.1", port), timeout=2) as sock:
        sock.sendall(text)
        answer = b""
        try:
            while chunk := sock.recv(65_536):
                answer += chunk
                if b"\r\n\r\n" in answer and not answer.startswith(b"HTTP/1.1 100"):
                    break
        except TimeoutError:
            pass
        return answer


def peak_kib_of_workers(daemon: DaemonProcess) -> int:
    """Return the most memory any of the daemon's processes has had."""
    family = [str(daemon.pid), *children_of(daemon.pid)]
    statuses = [Path(f"/proc/{pid}/status").read_text() for pid in family]
    return max(int(re.search(r"VmHWM:\s+(\d+)", status)[1]) for status in statuses)  # type: ignore[index]


def children_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def eventually(check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not check():
        assert time.monotonic() < deadline, "it did not come about within 10 s"
        time.sleep(0.05)


def test_bid_is_answered_with_json_of_the_version_spoken(caller: Caller) -> None:
    reply = caller.call()
    assert reply.status == 200
    assert reply.headers["Content-Type"] == "application/json"
    assert reply.headers["x-openrtb-version"] == "2.6"
    answer = json.loads(reply.body)
    [bid] = answer["seatbid"][0]["bid"]
    assert (answer["id"], answer["cur"], bid["impid"]) == ("r-1", "USD", "1")
    assert (bid["price"], bid["cid"], bid["crid"]) == (2.0, "1", "2")
    assert bid["nurl"].startswith("https://t.example/notice/win?t=")


def test_no_bid_has_no_body_and_keeps_the_connection(caller: Caller) -> None:
    caller.connection.connect()
    sock = caller.connection.sock
    for _ in range(5):
        reply = caller.call(NOTHING_FOR_IT)
        assert (reply.status, reply.body) == (204, b"")
    assert caller.call().status == 200
    assert caller.connection.sock is sock


@pytest.mark.parametrize(
    "body", [b"", b"{", b"null", b'{"id":"r"}', b"\xff\xfe", b'{"id":"r","imp":[]}']
)
def test_malformed_request_is_refused_without_a_body(caller: Caller, body: bytes) -> None:
    reply = caller.call(body)
    assert (reply.status, reply.body) == (400, b"")
    assert caller.call().status == 200


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_other_methods_are_not_allowed_and_have_no_body(caller: Caller, method: str) -> None:
    reply = caller.call(None, {}, method)
    assert (reply.status, reply.body) == (405, b"")


def test_exchange_has_a_path_and_a_seat_of_its_own(caller: Caller) -> None:
    answer = json.loads(caller.call(path="/bid-request/other-seat").body)
    assert answer["seatbid"][0]["seat"] == "seat9"
    assert json.loads(caller.call().body)["seatbid"][0]["seat"] == "seat1"
    only_seat1 = json.dumps({**REQUEST, "wseat": ["seat1"]})
    assert caller.call(only_seat1, path="/bid-request/other-seat").status == 204
    assert caller.call(only_seat1).status == 200


@pytest.mark.parametrize("name", ["nobody", "default2", "..", "OTHER-SEAT"])
def test_exchange_that_nobody_configured_does_not_exist(caller: Caller, name: str) -> None:
    reply = caller.call(path=f"/bid-request/{name}")
    assert (reply.status, reply.body) == (404, b"")


def test_plain_path_is_the_default_exchange(caller: Caller) -> None:
    assert caller.call(path="/bid-request/default").status == 200


def test_exchange_may_be_told_why_there_is_no_bid(caller: Caller) -> None:
    reply = caller.call(NOTHING_FOR_IT, path="/bid-request/telling")
    assert (reply.status, reply.headers["Content-Type"]) == (200, "application/json")
    assert json.loads(reply.body) == {"id": "r-1", "seatbid": [], "nbr": 500}
    assert caller.call(path="/bid-request/telling").status == 200
    assert caller.call(b"{", path="/bid-request/telling").status == 400


def test_exchange_with_another_currency_is_bid_to_only_in_ours(caller: Caller) -> None:
    unsaid = json.dumps({name: part for name, part in REQUEST.items() if name != "cur"})
    assert caller.call(unsaid, path="/bid-request/euros").status == 204
    assert caller.call(path="/bid-request/euros").status == 200
    assert caller.call(unsaid).status == 200


def test_requests_beyond_an_exchanges_limit_get_no_bid(caller: Caller) -> None:
    before = caller.count("rate_limit")
    statuses = [caller.call(path="/bid-request/slow").status for _ in range(30)]
    assert statuses[:3] == [200] * 3
    assert statuses.count(204) >= 20
    assert caller.count("rate_limit") - before == statuses.count(204)
    assert caller.call().status == 200


@pytest.mark.parametrize("path", ["/", "/bid", "/bid-request/x/y", "/%00", "/bid-request%20"])
def test_other_paths_do_not_exist_and_have_no_body(caller: Caller, path: str) -> None:
    reply = caller.call(path=path)
    assert (reply.status, reply.body) == (404, b"")


def test_body_over_the_limit_is_refused(caller: Caller) -> None:
    padded = {**REQUEST, "ext": {"padding": "x" * MAX_BODY_BYTES}}
    assert caller.call(json.dumps(padded)).status in (400, 413)


def test_body_beyond_what_is_ever_read_is_refused_unread(bidder: DaemonProcess) -> None:
    head = b"POST /bid-request HTTP/1.1\r\nHost: x\r\nContent-Length: 1073741824\r\n\r\n"
    assert b" 413 " in raw(bidder.port, head)


def test_body_under_the_limit_is_read(caller: Caller) -> None:
    padded = {**REQUEST, "ext": {"padding": "x" * (MAX_BODY_BYTES - 1024)}}
    assert caller.call(json.dumps(padded)).status == 200


GZIPPED = gzip.compress(BODY)


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip"])
def test_gzip_body_is_read(caller: Caller, encoding: str) -> None:
    assert caller.call(GZIPPED, {**JSON, "Content-Encoding": encoding}).status == 200


@pytest.mark.parametrize(
    "body",
    [BODY, b"", GZIPPED[:-1], GZIPPED[:40], GZIPPED + b"more", GZIPPED[:-8] + bytes(8)],
    ids=["plain", "empty", "cut at the end", "cut", "followed", "wrong checksum"],
)
def test_gzip_that_is_broken_is_refused_without_a_body(caller: Caller, body: bytes) -> None:
    reply = caller.call(body, {**JSON, "Content-Encoding": "gzip"})
    assert (reply.status, reply.body) == (400, b"")
    assert caller.call().status == 200


def test_gzip_bomb_is_refused_with_bounded_memory_and_time(
    bidder: DaemonProcess, caller: Caller
) -> None:
    bomb = gzip.compress(b" " * (256 << 20), compresslevel=1)
    bomb = gzip.compress(b" " * (40 << 20)) if len(bomb) > MAX_BODY_BYTES else bomb
    assert len(bomb) <= MAX_BODY_BYTES
    before_kib = peak_kib_of_workers(bidder)
    began = time.monotonic()
    replies = [caller.call(bomb, {**JSON, "Content-Encoding": "gzip"}) for _ in range(20)]
    assert time.monotonic() - began < 2
    assert {(reply.status, reply.body) for reply in replies} == {(400, b"")}
    assert peak_kib_of_workers(bidder) - before_kib < 8 << 10


def test_body_is_read_up_to_the_limit_once_inflated(caller: Caller) -> None:
    padded = {**REQUEST, "ext": {"padding": "x" * (MAX_BODY_BYTES - 1024)}}
    headers = {**JSON, "Content-Encoding": "gzip"}
    assert caller.call(gzip.compress(json.dumps(padded).encode()), headers).status == 200
    padded["ext"] = {"padding": "x" * MAX_BODY_BYTES}
    assert caller.call(gzip.compress(json.dumps(padded).encode()), headers).status == 400


@pytest.mark.parametrize("accepted", ["gzip", "deflate, gzip;q=0.5, br", "GZIP"])
def test_answer_is_gzip_for_those_who_ask_for_it(caller: Caller, accepted: str) -> None:
    reply = caller.call(headers={**JSON, "Accept-Encoding": accepted})
    assert reply.headers["Content-Encoding"] == "gzip"
    assert json.loads(gzip.decompress(reply.body))["id"] == "r-1"


@pytest.mark.parametrize("accepted", [None, "identity", "br", "gzip;q=0", "gzip;q=0.0, br"])
def test_answer_is_plain_for_those_who_do_not(caller: Caller, accepted: str | None) -> None:
    headers = {**JSON, "Accept-Encoding": accepted} if accepted else JSON
    caller.connection.putrequest("POST", "/bid-request", skip_accept_encoding=True)
    for name, value in {**headers, "Content-Length": str(len(BODY))}.items():
        caller.connection.putheader(name, value)
    caller.connection.endheaders(BODY)
    reply = caller.connection.getresponse()
    assert reply.headers["Content-Encoding"] is None
    assert json.loads(reply.read())["id"] == "r-1"


def test_no_bid_is_never_compressed(caller: Caller) -> None:
    reply = caller.call(NOTHING_FOR_IT, {**JSON, "Accept-Encoding": "gzip"})
    assert (reply.status, reply.body) == (204, b"")
    assert reply.headers["Content-Encoding"] is None
    assert reply.headers["Content-Type"] is None
    assert reply.headers["Content-Length"] in (None, "0")


@pytest.mark.parametrize("kind", ["application/x-protobuf", "application/vnd.google.protobuf"])
def test_protobuf_is_refused_without_a_body(caller: Caller, kind: str) -> None:
    reply = caller.call(headers={"Content-Type": kind})
    assert (reply.status, reply.body) == (415, b"")
    assert caller.call().status == 200


@pytest.mark.parametrize("version", ["2.6", "2.5", "2.3", "2.6-202606", "banana", ""])
def test_version_that_can_be_read_is_answered(caller: Caller, version: str) -> None:
    reply = caller.call(headers={**JSON, "x-openrtb-version": version})
    assert (reply.status, reply.headers["x-openrtb-version"]) == (200, "2.6")


def test_version_3_gets_no_bid(caller: Caller) -> None:
    before = caller.count("version")
    reply = caller.call(headers={**JSON, "x-openrtb-version": "3.0"})
    assert (reply.status, reply.body) == (204, b"")
    assert caller.count("version") == before + 1


def test_a_thousand_no_bids_go_over_one_connection(caller: Caller) -> None:
    caller.connection.connect()
    sock = caller.connection.sock
    assert all(caller.call(NOTHING_FOR_IT).status == 204 for _ in range(1000))
    assert caller.connection.sock is sock


def test_connection_is_kept_after_a_refusal(caller: Caller) -> None:
    caller.connection.connect()
    sock = caller.connection.sock
    assert caller.call(b"{").status == 400
    assert caller.call().status == 200
    assert caller.connection.sock is sock


def test_body_longer_than_announced_is_not_a_second_request(bidder: DaemonProcess) -> None:
    head = b"POST /bid-request HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
    answer = raw(bidder.port, head + BODY)
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"HTTP/1.1 200" not in answer


def test_slow_body_holds_up_nobody(bidder: DaemonProcess, caller: Caller) -> None:
    head = b"POST /bid-request HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{"
    with socket.create_connection(("127.0.0.1", bidder.port), timeout=5) as sock:
        sock.sendall(head)
        assert caller.call().status == 200


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "x-nothing"])
def test_encoding_that_is_not_read_is_refused(caller: Caller, encoding: str) -> None:
    reply = caller.call(headers={**JSON, "Content-Encoding": encoding})
    assert (reply.status, reply.body) == (400, b"")


@pytest.mark.parametrize("encoding", ["identity", "Identity"])
def test_encoding_that_is_none_is_read(caller: Caller, encoding: str) -> None:
    assert caller.call(headers={**JSON, "Content-Encoding": encoding}).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "application/json; charset=utf-8"},
        {"Content-Type": "Application/JSON"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "text/plain"},
    ],
)
def test_json_is_read_whatever_it_is_called(caller: Caller, headers: dict[str, str]) -> None:
    assert caller.call(headers=headers).status == 200


def test_chunked_body_is_read(caller: Caller) -> None:
    pieces = (BODY[at : at + 100] for at in range(0, len(BODY), 100))
    assert caller.call(pieces, encode_chunked=True).status == 200


def test_client_that_asks_first_is_told_to_continue(bidder: DaemonProcess) -> None:
    head = (
        b"POST /bid-request HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
        b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(BODY)
    )
    with socket.create_connection(("127.0.0.1", bidder.port), timeout=5) as sock:
        sock.sendall(head)
        assert sock.recv(4096).startswith(b"HTTP/1.1 100")
        sock.sendall(BODY)
        assert sock.recv(65_536).startswith(b"HTTP/1.1 200")


def test_requests_sent_in_a_row_are_answered_in_a_row(bidder: DaemonProcess) -> None:
    one = b"POST /bid-request HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(BODY)
    with socket.create_connection(("127.0.0.1", bidder.port), timeout=5) as sock:
        sock.sendall((one + BODY) * 3)
        answers = b""
        while answers.count(b'"id":"r-1"') < 3:
            chunk = sock.recv(65_536)
            assert chunk
            answers += chunk
    assert answers.count(b"HTTP/1.1 200") == 3


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
def test_health_is_told(caller: Caller, path: str) -> None:
    reply = caller.call(None, {}, "GET", path)
    assert (reply.status, json.loads(reply.body)["status"]) == (200, path.rpartition("/")[2])


def test_outcomes_are_counted(caller: Caller) -> None:
    before = {name: caller.count(name) for name in ("bid", "currency", "malformed")}
    bids = caller.metric("adctl_bids_total")
    caller.call()
    caller.call(NOTHING_FOR_IT)
    caller.call(NOTHING_FOR_IT)
    caller.call(b"{")
    assert {name: caller.count(name) - before[name] for name in before} == {
        "bid": 1,
        "currency": 2,
        "malformed": 1,
    }
    assert caller.metric("adctl_bids_total") == bids + 1
    assert caller.metric("adctl_catalog_campaigns") == 1


_JUNK = st.sampled_from(
    [b"null", b"[]", b"{}", b'"x"', b"-1", b"1e999999", b'"\\ud800"', b"true", b"0.1", b"[[[["]
)


@given(st.data())
@hypothesis_settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_mutation_of_a_request_is_answered_with_an_error_of_ours(
    caller: Caller, data: st.DataObject
) -> None:
    body = BODY
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(body)))
        until = data.draw(st.integers(at, min(len(body), at + 20)))
        body = body[:at] + data.draw(_JUNK | st.binary(max_size=8)) + body[until:]
    assert caller.call(body).status in (200, 204, 400)


@pytest.mark.parametrize(
    "value",
    [None, [], {}, "", "x", -1, 1e300, True, [None], [[]], [{}], {"a": None}, "x" * 5000],
    ids=lambda value: json.dumps(value)[:12],
)
@pytest.mark.parametrize("name", sorted(REQUEST))
def test_no_value_of_an_attribute_is_answered_with_an_error_of_ours(
    caller: Caller, name: str, value: object
) -> None:
    assert caller.call(json.dumps({**REQUEST, name: value})).status in (200, 204, 400)


def test_nothing_so_far_was_a_fault_of_ours(caller: Caller) -> None:
    assert caller.metric("adctl_bid_failures_total") == 0


def test_without_redis_there_are_no_bids_and_the_bidder_is_not_ready(
    own_valkey: Server, bidder: DaemonProcess, caller: Caller
) -> None:
    unavailable = caller.count("unavailable")
    own_valkey.stop()
    try:
        began = time.monotonic()
        reply = caller.call()
        # The request's tmax, and some for a busy machine.
        assert time.monotonic() - began < 0.2 + 0.8
        assert (reply.status, reply.body) == (204, b"")
        assert caller.count("unavailable") == unavailable + 1
        assert bidder.readiness().health is Health.NOT_READY
        assert caller.call(None, {}, "GET", "/health/live").status == 200
    finally:
        own_valkey.start(owned=True)
    eventually(lambda: caller.call().status == 200)
    assert bidder.readiness().health is Health.READY


def test_stalled_redis_does_not_stall_the_bidder(
    own_valkey: Server, bidder: DaemonProcess, caller: Caller
) -> None:
    os.kill(own_valkey.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        assert [caller.call().status for _ in range(5)] == [204] * 5
        assert time.monotonic() - began < 0.2 + 0.8
        assert bidder.readiness().health is Health.NOT_READY
    finally:
        os.kill(own_valkey.pid, signal.SIGCONT)
    eventually(lambda: caller.call().status == 200)


def test_emptied_redis_is_not_bid_on_until_its_money_is_back(
    own_redis_url: str, caller: Caller
) -> None:
    with connect(own_redis_url, RedisSettings()) as client:
        client.flushdb()
        assert caller.call().status == 204
        Budgets(client).sync(CAMPAIGN, datetime.now(UTC).date(), 0, 0)
        assert caller.call().status == 200
