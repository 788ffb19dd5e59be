"""Deliveries to a real receiver: signed, repeated for a while, given up, and repeated by hand."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from adctl.config_notices import WebhookSettings
from adctl.control import webhooks
from adctl.control.webhook_sending import WebhookSender
from adctl.control.webhook_signature import signed_headers
from adctl.stores.webhook_post import UndeliverableError, WebhookPoster
from tests.integration.receiver import Receiver, receiving

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import psycopg
    from psycopg_pool import ConnectionPool

    from adctl.stores.webhook_post import Answer

    Pool = ConnectionPool[psycopg.Connection]

NOW = datetime(2026, 11, 1, tzinfo=UTC).timestamp()
LOOPBACK = ("127.0.0.0/8",)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


class Desk:
    """A webhook of a receiver, and a sender, worked by hand."""

    def __init__(self, pool: Pool, url: str, **changes: object) -> None:
        self.pool = pool
        self.settings = WebhookSettings(timeout_sec=2, **changes)
        self.sender = WebhookSender(
            pool, WebhookPoster(2, LOOPBACK).post, self.settings, lambda: NOW, lambda: 0.0
        )
        with pool.connection() as conn:
            self.hook, self.secret = webhooks.create(conn, "ann", url, [], None)

    def owe(self) -> int:
        with self.pool.connection() as conn:
            return webhooks.send_test(conn, self.hook.id)

    def states(self) -> list[tuple[str, int, str]]:
        with self.pool.connection() as conn:
            found = webhooks.deliveries(conn, self.hook.id, None, 100)
        return [(one.state, one.attempts, one.answer) for one in reversed(found)]

    def hurry(self, sql: str = "next_attempt_at = now()") -> None:
        """Let the time pass until everything is due again."""
        with self.pool.connection() as conn:
            conn.execute(f"UPDATE webhook_delivery SET {sql}")

    def status(self) -> str:
        with self.pool.connection() as conn:
            return webhooks.show(conn, self.hook.id).status


@pytest.fixture
def desk(pool: Pool, receiver: Receiver) -> Desk:
    return Desk(pool, receiver.url + "/hook?of=ours")


def test_a_receiver_can_check_what_it_gets(desk: Desk, receiver: Receiver) -> None:
    desk.owe()
    assert desk.sender.send_due() == {"delivered": 1}
    (got,) = receiver.received
    expected = signed_headers(desk.secret, got.headers["webhook-id"], int(NOW), got.body)
    assert {name: got.headers[name.lower()] for name in expected} == expected
    assert (got.path, got.headers["host"]) == (
        "/hook?of=ours",
        receiver.url.removeprefix("http://"),
    )
    assert desk.states() == [("delivered", 1, "200 said")]
    assert desk.sender.send_due() == {}


def test_what_fails_is_sent_again_later_with_the_same_id(desk: Desk, receiver: Receiver) -> None:
    receiver.statuses = [500, 302, 204]
    desk.owe()
    assert desk.sender.send_due() == {"postponed": 1}
    assert desk.sender.send_due() == {}
    for _ in range(2):
        desk.hurry()
        desk.sender.send_due()
    assert len(set(receiver.ids)) == 1
    # A redirect is not followed.
    assert [one.path for one in receiver.received] == ["/hook?of=ours"] * 3
    assert desk.states()[0][:2] == ("delivered", 3)


def test_pauses_grow_up_to_hours(desk: Desk, receiver: Receiver, pool: Pool) -> None:
    receiver.statuses = [503]
    desk.owe()
    pauses = []
    for _ in range(8):
        desk.hurry()
        desk.sender.send_due()
        with pool.connection() as conn:
            row = conn.execute("SELECT next_attempt_at - now() FROM webhook_delivery").fetchone()
            pauses.append(row[0].total_seconds())
    # Half of the longest, because this sender's jitter is 0.
    assert pauses == pytest.approx([2.5, 10, 40, 160, 640, 2560, 7200, 7200], abs=2)


def test_what_fails_for_too_long_is_given_up_until_somebody_asks(
    desk: Desk, receiver: Receiver, pool: Pool
) -> None:
    receiver.statuses = [500, 500, 200]
    number = desk.owe()
    desk.sender.send_due()
    desk.hurry("next_attempt_at = now(), first_attempt_at = now() - interval '24 hours'")
    assert desk.sender.send_due() == {"failed": 1}
    desk.hurry()
    assert desk.sender.send_due() == {}
    with pool.connection() as conn:
        assert webhooks.retry(conn, desk.hook.id, []) == [number]
    assert desk.sender.send_due() == {"delivered": 1}
    assert len(set(receiver.ids)) == 1


def test_a_receiver_that_is_gone_pauses_its_webhook(desk: Desk, receiver: Receiver) -> None:
    receiver.statuses = [410]
    desk.owe()
    assert desk.sender.send_due() == {"failed": 1}
    assert desk.status() == "paused"


def test_a_paused_webhook_is_owed_what_it_was_not_sent(desk: Desk, pool: Pool) -> None:
    desk.owe()
    with pool.connection() as conn:
        webhooks.pause(conn, "ann", desk.hook.id)
    assert desk.sender.send_due() == {}
    with pool.connection() as conn:
        webhooks.resume(conn, "ann", desk.hook.id)
    assert desk.sender.send_due() == {"delivered": 1}


def test_a_sender_killed_before_it_could_note_it_leaves_the_delivery_to_another(
    desk: Desk, receiver: Receiver, pool: Pool
) -> None:
    poster = WebhookPoster(2, LOOPBACK)

    def post_and_die(*args: object) -> None:
        poster.post(*args)  # type: ignore[arg-type]
        raise SystemExit

    desk.owe()
    doomed = WebhookSender(pool, post_and_die, desk.settings, lambda: NOW)  # type: ignore[arg-type]
    with pytest.raises(SystemExit):
        doomed.send_due()
    assert desk.sender.send_due() == {}  # nobody else's yet
    desk.hurry()
    assert desk.sender.send_due() == {"delivered": 1}
    assert len(receiver.ids) == 2
    assert len(set(receiver.ids)) == 1


def test_senders_at_work_together_send_each_delivery_once(desk: Desk, receiver: Receiver) -> None:
    for _ in range(80):
        desk.owe()
    post = WebhookPoster(2, LOOPBACK).post
    senders = [WebhookSender(desk.pool, post, desk.settings, time.time) for _ in range(3)]

    def send_all(sender: WebhookSender) -> None:
        while sender.send_due():
            pass

    threads = [threading.Thread(target=send_all, args=[sender]) for sender in senders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(desk.states()) == {("delivered", 1, "200 said")}
    assert len(receiver.ids) == len(set(receiver.ids)) == 80


@contextmanager
def silent() -> Iterator[str]:
    """A receiver that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"


def test_receiver_that_says_nothing_takes_no_time_of_others(
    desk: Desk, receiver: Receiver, pool: Pool
) -> None:
    with silent() as url:
        for _ in range(10):
            slow = Desk(pool, url)
            for _ in range(10):
                slow.owe()
        desk.sender.start_due()
        began = time.monotonic()
        for round_ in range(1, 4):
            desk.owe()
            while len(receiver.received) < round_:
                assert time.monotonic() - began < 1.9, "before the first slow one is given up"
                desk.sender.start_due()
                desk.sender.finished()
                time.sleep(0.01)
        desk.sender.close()


def test_one_webhooks_deliveries_arrive_in_the_order_they_were_owed(
    desk: Desk, receiver: Receiver
) -> None:
    numbers = [desk.owe() for _ in range(30)]
    with desk.pool.connection() as conn:
        ids = conn.execute("SELECT event_id FROM webhook_delivery ORDER BY id").fetchall()
    while desk.sender.send_due():
        pass
    assert receiver.ids == [event_id for (event_id,) in ids]
    assert len(numbers) == 30


def test_what_waits_behind_one_that_failed_is_not_tried_and_not_counted_as_tried(
    desk: Desk, receiver: Receiver
) -> None:
    receiver.statuses = [200, 500]
    for _ in range(5):
        desk.owe()
    assert desk.sender.send_due() == {"delivered": 1, "postponed": 1}
    assert len(receiver.received) == 2
    assert [attempts for _, attempts, _ in desk.states()] == [1, 1, 0, 0, 0]
    assert desk.sender.send_due() == {}
    receiver.statuses = [200]
    desk.hurry()
    assert desk.sender.send_due() == {"delivered": 4}


def test_what_goes_wrong_with_one_is_raised_and_the_others_are_told_next_time(
    desk: Desk, receiver: Receiver, pool: Pool
) -> None:
    other = Desk(pool, receiver.url + "/other")
    post = WebhookPoster(2, LOOPBACK).post

    def sometimes(url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        if url.endswith("/other"):
            raise RuntimeError("a fault of ours")
        return post(url, body, headers)

    sender = WebhookSender(pool, sometimes, desk.settings, lambda: NOW)
    desk.owe()
    other.owe()
    with pytest.raises(RuntimeError):
        sender.send_due()
    assert sender.finished() == {"delivered": 1}


def test_old_deliveries_are_forgotten(desk: Desk) -> None:
    desk.owe()
    desk.sender.send_due()
    desk.owe()
    assert desk.sender.forget_finished() == 0
    desk.hurry("finished_at = now() - interval '31 days' WHERE state = 'delivered'")
    assert desk.sender.forget_finished() == 1
    assert [state for state, *_ in desk.states()] == ["pending"]


@pytest.fixture
def poster() -> WebhookPoster:
    return WebhookPoster(1)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "10.0.0.1",
        "169.254.169.254",
        "0",
        "224.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
    ],
)
def test_addresses_that_are_not_public_are_not_posted_to(poster: WebhookPoster, host: str) -> None:
    with pytest.raises(UndeliverableError, match="no public address"):
        poster.post(f"https://{host}:9/", b"", {})


def test_public_name_that_leads_elsewhere_the_second_time_is_asked_for_once(
    receiver: Receiver,
) -> None:
    port = int(receiver.url.rpartition(":")[2])
    told = iter([["127.0.0.1"], ["10.0.0.1"]])

    def look_up(*_args: object, **_options: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in next(told)]

    answer = WebhookPoster(2, LOOPBACK, look_up).post(f"http://any.example:{port}/", b"", {})
    assert answer.status == 200
    with pytest.raises(UndeliverableError, match=r"any.example is at 10.0.0.1"):
        WebhookPoster(2, LOOPBACK, look_up).post(f"http://any.example:{port}/", b"", {})


def test_no_proxy_of_the_environments_is_used(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("all_proxy", "http://127.0.0.1:1")
    assert WebhookPoster(2, LOOPBACK).post(receiver.url, b"", {}).status == 200


DRIPS = {
    "a status line": b"H" + b"T" * 1000,
    "headers": b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 1000,
    "one header": b"HTTP/1.1 200 OK\r\na: " + b"b" * 1000,
    "answers to wait": b"HTTP/1.1 100 Continue\r\n\r\n" * 1000,
}


@contextmanager
def dripping(text: bytes) -> Iterator[int]:
    """A receiver that answers whoever connects a byte every few milliseconds."""
    with socket.create_server(("127.0.0.1", 0)) as server, suppress(OSError):
        stop = threading.Event()

        def drip() -> None:
            client, _ = server.accept()
            with client, suppress(OSError):
                for byte in text:
                    client.sendall(bytes([byte]))
                    if stop.wait(0.02):
                        break

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            stop.set()
            thread.join()


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("text", DRIPS.values(), ids=DRIPS.keys())
def test_receiver_that_answers_a_byte_at_a_time_has_no_more_time(scheme: str, text: bytes) -> None:
    # As TLS it begins as if a long record came.
    sent = b"\x16\x03\x03\x3f\xff\x02\x00\x3f\xf0" + text if scheme == "https" else text
    began = time.monotonic()
    with dripping(sent) as port, pytest.raises(UndeliverableError, match="timed out"):
        WebhookPoster(0.5, LOOPBACK).post(f"{scheme}://127.0.0.1:{port}/", b"", {})
    assert time.monotonic() - began < 2


def test_body_that_comes_a_byte_at_a_time_takes_nothing_from_the_answer() -> None:
    began = time.monotonic()
    text = b"HTTP/1.1 204 No Content\r\nContent-Length: 1000\r\n\r\n"
    with dripping(text.replace(b"204", b"202") + b"x" * 1000) as port:
        answer = WebhookPoster(5, LOOPBACK).post(f"http://127.0.0.1:{port}/", b"", {})
    assert answer.status == 202
    assert time.monotonic() - began < 5


def test_receiver_that_does_not_read_has_no_more_time() -> None:
    with silent() as url, pytest.raises(UndeliverableError, match="timed out"):
        WebhookPoster(0.3, LOOPBACK).post(url, b"x" * (64 << 20), {})


def test_name_that_is_not_found_out_has_no_more_time() -> None:
    answer = threading.Event()

    def look_up(*_args: object, **_options: object) -> list[Any]:
        answer.wait(10)
        return []

    began = time.monotonic()
    with pytest.raises(UndeliverableError, match="timed out"):
        WebhookPoster(0.3, LOOPBACK, look_up).post("http://any.example/", b"", {})
    assert time.monotonic() - began < 2
    answer.set()


def test_a_silent_receiver_is_waited_for_no_longer_than_allowed() -> None:
    began = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        with pytest.raises(UndeliverableError, match="timed out"):
            WebhookPoster(0.3, LOOPBACK).post(url, b"", {})
    assert time.monotonic() - began < 2
