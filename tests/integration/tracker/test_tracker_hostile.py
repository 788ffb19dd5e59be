"""Calls nobody in their right mind makes: each is answered, none with an error of the server's."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_from_bytes, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.tracker.street import everything, url

if TYPE_CHECKING:
    from adctl.control.daemon_process import DaemonProcess
    from tests.integration.tracker.street import Street

HARD = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

methods = st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "BREW"])
kinds = st.sampled_from(["impression", "click", "conversion", "win", "bill", "loss"])
known = st.sampled_from([*"tpcqmbsrouvk", "vc"])
names = known | known | st.sampled_from(["", "%", "t[]"]) | st.text(max_size=5).map(quote)
values = st.text(max_size=60).map(quote) | st.binary(max_size=60).map(quote_from_bytes)
queries = st.lists(st.tuples(names, values).map("=".join), min_size=3, max_size=12).map("&".join)
# Whatever a request line can hold without ending it.
raw = st.binary(max_size=80).map(lambda text: bytes(byte for byte in text if byte > 0x20))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
bodies = st.binary(max_size=400) | json_values.map(lambda value: json.dumps(value).encode())
types = st.sampled_from(["application/json", "text/plain", "application/x-www-form-urlencoded", ""])


def answer(port: int, request: bytes) -> tuple[int, bytes]:
    """Send bytes over a connection of their own; return the status and all that was answered."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        sock.sendall(request)
        sock.shutdown(socket.SHUT_WR)
        told = b"".join(iter(lambda: sock.recv(65_536), b""))
    return int(told.split(b" ", 2)[1]), told


def request_of(method: str, target: bytes, body: bytes = b"", content_type: str = "") -> bytes:
    head = b"%b %b HTTP/1.1\r\nHost: t.example\r\nConnection: close\r\nContent-Length: %d\r\n" % (
        method.encode(),
        target,
        len(body),
    )
    return head + f"Content-Type: {content_type}\r\n\r\n".encode() + body


def is_no_error_of_the_servers(told: tuple[int, bytes]) -> bool:
    status, text = told
    return 200 <= status < 500 and b"Traceback" not in text


@HARD
@given(methods, st.sampled_from(["track", "notice", "events", ""]), kinds, queries, bodies, types)
def test_no_parameter_and_no_body_is_an_error_of_the_servers(
    tracker: DaemonProcess,
    method: str,
    place: str,
    kind: str,
    query: str,
    body: bytes,
    content_type: str,
) -> None:
    target = "/".join(part for part in ("", place, kind if place != "events" else ""))
    request = request_of(method, f"{target}?{query}".encode(), body, content_type)
    assert is_no_error_of_the_servers(answer(tracker.port, request)), request


@HARD
@given(kinds, queries, st.sampled_from(["GET", "POST"]), bodies, types)
def test_nothing_beside_a_genuine_token_is_an_error(
    tracker: DaemonProcess,
    street: Street,
    kind: str,
    query: str,
    method: str,
    body: bytes,
    content_type: str,
) -> None:
    target = f"{url(street.bid(), kind, price='')}{query}".encode()
    status, told = answer(tracker.port, request_of(method, target, body, content_type))
    # An advertiser's key says that it is another call, of which nothing may be missing.
    claimed = kind == "conversion" and b"k=" in target.lower()
    assert status in {200, 204, 302} or (claimed and status == 400), told


@HARD
@given(methods, raw)
def test_no_path_is_an_error_of_the_servers(
    tracker: DaemonProcess, method: str, target: bytes
) -> None:
    request = request_of(method, b"/" + target)
    assert is_no_error_of_the_servers(answer(tracker.port, request)), request


@HARD
@given(kinds, st.integers(0, 400), st.integers(0, 255), st.sampled_from(["GET", "POST"]))
def test_a_genuine_call_of_which_a_byte_is_changed_is_taken_or_refused(
    tracker: DaemonProcess, street: Street, kind: str, place: int, byte: int, method: str
) -> None:
    target = bytearray(url(street.bid(), kind).encode())
    target[place % len(target)] = byte if byte > 0x20 else 0x7F
    status, told = answer(tracker.port, request_of(method, bytes(target)))
    assert status in {200, 204, 302, 400, 403, 404}, (status, bytes(target))
    if status == 302:
        [location] = [line for line in told.split(b"\r\n") if line.lower().startswith(b"location:")]
        assert urlsplit(location.split(b" ", 1)[1]).netloc == b"advertiser.example"


@pytest.mark.parametrize("kind", ["impression", "win"])
def test_a_token_cut_anywhere_is_refused_and_changes_nothing(street: Street, kind: str) -> None:
    path, _, token = url(street.bid(), kind, price="").removesuffix("&p=").partition("?t=")
    stored = everything(street.redis)
    for length in range(0, len(token), 3):
        assert street.call(f"{path}?t={token[:length]}").status == 403
    assert everything(street.redis) == stored


@pytest.mark.parametrize("path", ["/track/impression", "/notice/win", "/events"])
def test_a_body_too_large_is_refused_before_it_is_read(tracker: DaemonProcess, path: str) -> None:
    head = request_of("POST", path.encode()).replace(
        b"Content-Length: 0", b"Content-Length: %d" % (1 << 30)
    )
    assert answer(tracker.port, head)[0] == 413


def test_a_wrong_method_is_told_which_are_right(street: Street) -> None:
    reply = street.tell(street.bid(), "impression", "DELETE")
    assert reply.status == 405
    assert {"GET", "POST"} <= set(reply.headers["Allow"].split(", "))
