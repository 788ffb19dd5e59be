"""Daemons end soon after SIGTERM, whatever they wait for in PostgreSQL."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import psycopg
import pytest

from adctl.errors import StoreUnavailableError
from adctl.stores.postgres import CONNECTION, interrupt, open_pool, postgres_errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from adctl.config import Settings
    from adctl.control.daemon_process import DaemonProcess

    StartDaemon = Callable[..., DaemonProcess]

_SOON_SEC = 2.0
# Started beside the whole suite on a busy machine; what is claimed is that no lock is waited for.
_BUSY_SEC = 2.0


def await_lock(postgres: psycopg.Connection, table: str) -> None:
    """Wait until somebody waits for a table that this connection has locked."""
    waits = """SELECT count(*) FROM pg_locks JOIN pg_class ON pg_class.oid = relation
               WHERE relname = %s AND NOT granted"""
    deadline = time.monotonic() + 20
    while postgres.execute(waits, [table]).fetchall() == [(0,)]:
        assert time.monotonic() < deadline, "nobody asks for the table"
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("pacer", "campaign"),
        ("pacer", "rollup_delivery"),
        ("pacer", "ledger_balance"),
        ("flusher", "stream_position"),
        ("consumer", "consumer_position"),
    ],
)
def test_a_daemon_that_waits_for_a_lock_ends_when_it_is_told_to(
    start_daemon: StartDaemon, postgres: psycopg.Connection, name: str, table: str
) -> None:
    daemon = start_daemon(name)
    postgres.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
    try:
        if table != "rollup_delivery":  # looked at once an hour, or not at all
            await_lock(postgres, table)
        began = time.monotonic()
        daemon.stop()
        took = time.monotonic() - began
    finally:
        postgres.rollback()
    assert daemon.how_it_ended() == "ended with status 0"
    assert took < _SOON_SEC + _BUSY_SEC


def test_only_the_statements_of_this_process_are_ended(settings: Settings) -> None:
    url = settings.postgres.url.get_secret_value()
    other = psycopg.connect(url, **{**CONNECTION, "application_name": "another"})
    with open_pool(url, settings.postgres) as pool, pool.connection() as mine:
        mine.execute("SELECT 1")
        other.execute("SELECT 1")
        assert interrupt(url, 5, hang_up=True) == 1
        with pytest.raises(StoreUnavailableError), postgres_errors("ask again"):
            mine.execute("SELECT 1")
    assert other.execute("SELECT 2").fetchall() == [(2,)]
    other.close()
