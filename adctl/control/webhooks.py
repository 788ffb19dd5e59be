"""Webhooks as people make and change them, and the deliveries they are owed."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import msgspec

from adctl.control.notify import EVENT_TYPES, TEST, event_body
from adctl.control.webhook_signature import make_secret
from adctl.errors import ConflictError, Fault, FaultyInputError, NotFoundError
from adctl.stores.postgres import load_queries
from adctl.stores.webhook_post import is_loopback

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg

ACTIVE, PAUSED, DELETED = "active", "paused", "deleted"

_URL_LENGTH = 2000

_queries = load_queries("queries/webhooks.sql")


class Webhook(NamedTuple):
    """A webhook without its secret, and how many deliveries it has in each state."""

    id: int
    url: str
    events: tuple[str, ...]
    advertiser_id: int | None
    status: str
    paused_because: str
    created_at: datetime
    pending: int
    delivered: int
    failed: int


class Delivery(NamedTuple):
    """What a webhook was, or is to be, told. ``answer`` is what came of the last attempt."""

    id: int
    webhook_id: int
    event_id: str
    event: str
    created_at: datetime
    state: str
    attempts: int
    next_attempt_at: datetime | None
    finished_at: datetime | None
    answer: str


def create(
    conn: psycopg.Connection,
    actor: str,
    url: str,
    events: Sequence[str],
    advertiser_id: int | None,
) -> tuple[Webhook, str]:
    """Make a webhook for ``events`` ([]: all); return it and its secret, told this once.

    Raises FaultyInputError with every fault.
    """
    faults = [*_faults_of_url(url), *_faults_of_events(events)]
    if faults:
        raise FaultyInputError("the webhook", faults)
    secret, wanted = make_secret(), sorted(set(events))
    webhook_id = _queries.create_webhook(
        conn, url=url, event_types=wanted, advertiser_id=advertiser_id, secret=secret
    )
    made = show(conn, webhook_id)
    about = {"url": url, "events": wanted, "advertiser_id": advertiser_id}
    _record(conn, actor, webhook_id, "create", about)
    return made, secret


def list_all(conn: psycopg.Connection) -> list[Webhook]:
    """Return every webhook that was not deleted."""
    return [_webhook(*row) for row in _queries.webhooks(conn, webhook_id=None)]


def show(conn: psycopg.Connection, webhook_id: int) -> Webhook:
    """Return one webhook. Raises NotFoundError, as do all below."""
    for row in _queries.webhooks(conn, webhook_id=webhook_id):
        return _webhook(*row)
    raise NotFoundError(f"no webhook {webhook_id}; `adctl webhook list` shows them")


def pause(conn: psycopg.Connection, actor: str, webhook_id: int) -> Webhook:
    """Send nothing more for now; what happens meanwhile waits. Raises ConflictError if it is so."""
    return _set_status(conn, actor, webhook_id, PAUSED)


def resume(conn: psycopg.Connection, actor: str, webhook_id: int) -> Webhook:
    """Send again, and first what has waited. Raises ConflictError if it is not paused."""
    return _set_status(conn, actor, webhook_id, ACTIVE)


def delete(conn: psycopg.Connection, actor: str, webhook_id: int) -> Webhook:
    """Forget a webhook with all its deliveries; return it as it was."""
    found = show(conn, webhook_id)
    _lock(conn, webhook_id)
    _queries.set_status(conn, webhook_id=webhook_id, status=DELETED, because="")
    _queries.drop_deliveries(conn, webhook_id=webhook_id)
    _record(conn, actor, webhook_id, "delete", None)
    return found


def send_test(conn: psycopg.Connection, webhook_id: int) -> int:
    """Make a delivery of a test event; return its id. Raises ConflictError if it is paused."""
    if _lock(conn, webhook_id) != ACTIVE:
        raise ConflictError(f"webhook {webhook_id} is paused: resume it first")
    delivery_id: int = _queries.make_delivery(
        conn,
        webhook_id=webhook_id,
        event_id=f"test-{uuid.uuid4()}",
        event_type=TEST,
        body=event_body(TEST, datetime.now(UTC), {"webhook_id": webhook_id}),
    )
    return delivery_id


def deliveries(
    conn: psycopg.Connection, webhook_id: int | None, state: str | None, limit: int
) -> list[Delivery]:
    """Return deliveries, newest first; of one webhook or all, in one state or any."""
    if webhook_id is not None:
        show(conn, webhook_id)
    rows = _queries.deliveries(conn, webhook_id=webhook_id, state=state, limit=limit)
    return [Delivery(*row) for row in rows]


def retry(conn: psycopg.Connection, webhook_id: int, delivery_ids: Sequence[int]) -> list[int]:
    """Send again what has failed, of ``delivery_ids`` ([]: all of it); return what that is."""
    show(conn, webhook_id)
    rows = _queries.retry(conn, webhook_id=webhook_id, delivery_ids=list(delivery_ids) or None)
    again = sorted(row[0] for row in rows)
    if other := sorted(set(delivery_ids) - set(again)):
        told = ", ".join(map(str, other))
        raise NotFoundError(f"no failed delivery {told} of webhook {webhook_id}")
    return again


def _set_status(conn: psycopg.Connection, actor: str, webhook_id: int, status: str) -> Webhook:
    if _lock(conn, webhook_id) == status:
        raise ConflictError(f"webhook {webhook_id} is {status} already")
    because = f"by {actor}" if status == PAUSED else ""
    _queries.set_status(conn, webhook_id=webhook_id, status=status, because=because)
    _record(conn, actor, webhook_id, "pause" if status == PAUSED else "resume", None)
    return show(conn, webhook_id)


def _lock(conn: psycopg.Connection, webhook_id: int) -> str:
    show(conn, webhook_id)
    return str(_queries.lock_webhook(conn, webhook_id=webhook_id))


def _record(
    conn: psycopg.Connection, actor: str, webhook_id: int, action: str, after: object
) -> None:
    told = None if after is None else msgspec.json.encode(after).decode()
    _queries.record(conn, actor=actor, webhook_id=webhook_id, action=action, after=told)


def _webhook(number: int, url: str, events: list[str], *rest: object) -> Webhook:
    return Webhook(number, url, tuple(events), *rest)  # type: ignore[arg-type]


def _faults_of_url(url: str) -> list[Fault]:
    expected = "https://HOST/PATH, without a user, a password or a #fragment; http only on loopback"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return [Fault("--url", url[:100], expected)]
    printable = url.isprintable() and url.isascii() and " " not in url
    secure = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host or ""))
    plain = "@" not in parts.netloc and not parts.fragment
    if host and printable and secure and plain and len(url) <= _URL_LENGTH:
        return []
    return [Fault("--url", url[:100], expected)]


def _faults_of_events(events: Sequence[str]) -> list[Fault]:
    expected = f"one of {', '.join(EVENT_TYPES)}"
    return [Fault("--event", event, expected) for event in events if event not in EVENT_TYPES]
