"""The moments at which reports are held against PostgreSQL's rows."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING

import psycopg
import pytest

from adctl.control import settled
from adctl.control.settled import moments
from adctl.errors import StoreUnavailableError
from adctl.stores.positions import StreamPositions
from adctl.stores.postgres import postgres_errors

if TYPE_CHECKING:
    from psycopg_pool import ConnectionPool

STREAM = "adctl:{s0}:events"
WAITING = (
    "INSERT INTO relay_batch (stream, last_id, events, event_dates, event_ids, stored_at) "
    "VALUES (%s, '1-0', 1, '{2026-11-01}', '{a}', now() + %s * interval '1 second')"
)


@pytest.fixture
def relayed(postgres: psycopg.Connection) -> psycopg.Connection:
    """A connection where the stream has a relay."""
    StreamPositions(STREAM).begin_relay(postgres, "c")
    postgres.commit()
    return postgres


def is_held(conn: psycopg.Connection) -> bool:
    """Return whether a relay would have to wait."""
    try:
        conn.execute("SELECT FROM stream_position WHERE reader LIKE 'kafka:%' FOR UPDATE NOWAIT")
    except psycopg.errors.LockNotAvailable:
        return True
    finally:
        conn.rollback()
    return False


def test_there_is_one_moment_without_any_time_and_nobody_waits(
    relayed: psycopg.Connection, pool: ConnectionPool[psycopg.Connection]
) -> None:
    with closing(moments(pool, 0)) as looks:
        assert [(look.untold, is_held(relayed)) for look in looks] == [(True, False)]


def test_relays_wait_from_the_second_moment_until_it_is_closed(
    relayed: psycopg.Connection, pool: ConnectionPool[psycopg.Connection]
) -> None:
    with closing(moments(pool, 10)) as looks:
        assert next(looks).untold
        assert not is_held(relayed)
        assert not next(looks).untold
        assert is_held(relayed)
    assert not is_held(relayed)


def test_relays_do_not_wait_while_they_have_to_tell_what_was_stored_before(
    relayed: psycopg.Connection, pool: ConnectionPool[psycopg.Connection]
) -> None:
    relayed.execute(WAITING, [STREAM, -1])
    relayed.commit()
    with closing(moments(pool, 0.6)) as looks:
        found = [(look.untold, is_held(relayed)) for look in looks]
    assert len(found) > 1
    assert set(found) == {(True, False)}


def test_what_is_stored_afterwards_is_not_waited_for(
    relayed: psycopg.Connection, pool: ConnectionPool[psycopg.Connection]
) -> None:
    relayed.execute(WAITING, [STREAM, 60])
    relayed.commit()
    with closing(moments(pool, 10)) as looks:
        next(looks)
        assert not next(looks).untold


def test_a_relay_that_is_at_work_all_the_time_is_not_waited_for_any_longer(
    relayed: psycopg.Connection, pool: ConnectionPool[psycopg.Connection]
) -> None:
    StreamPositions(STREAM).lock_relay(relayed, "c")
    began = time.monotonic()
    with closing(moments(pool, 0.6)) as looks:
        assert all(look.untold for look in looks)
    assert time.monotonic() - began < 5


def test_whoever_is_stopped_in_the_middle_lets_the_relays_go_on(
    relayed: psycopg.Connection,
    pool: ConnectionPool[psycopg.Connection],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(settled, "_STOPPED", "200ms")
    looks = moments(pool, 30)
    next(looks)
    next(looks)
    assert is_held(relayed)
    deadline = time.monotonic() + 5
    while is_held(relayed):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    look = next(looks)
    with pytest.raises(StoreUnavailableError), postgres_errors("compare"):
        look.conn.execute("SELECT 1")
    looks.close()
