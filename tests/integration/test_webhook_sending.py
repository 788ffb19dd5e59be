"""Deliveries to a real receiver: signed, repeated for a while, given up, and repeated by hand."""

from __future__ import annotations

import socket
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from adctl.config_notices import WebhookSettings
from adctl.control import webhooks
from adctl.control.webhook_sending import WebhookSender
from adctl.control.webhook_signature import signed_headers
from adctl.stores.webhook_post import UndeliverableError, WebhookPoster
from tests.integration.receiver import Receiver, receiving

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg
    from psycopg_pool import ConnectionPool

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


def test_a_silent_receiver_is_waited_for_no_longer_than_allowed() -> None:
    began = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        with pytest.raises(UndeliverableError, match="timed out"):
            WebhookPoster(0.3, LOOPBACK).post(url, b"", {})
    assert time.monotonic() - began < 2
