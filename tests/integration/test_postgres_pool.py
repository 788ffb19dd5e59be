"""Connections to a PostgreSQL that was away."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING

import psycopg
import pytest

from adctl.errors import StoreUnavailableError
from adctl.stores.embedded.ports import free_port
from adctl.stores.postgres import open_pool, postgres_errors

if TYPE_CHECKING:
    from adctl.config import Settings

_AWAY_SEC = 9.0


def forward(listening: socket.socket, target: tuple[str, int]) -> None:
    """Pass on what comes to one address to another, in threads, until ``listening`` is closed."""

    def pass_on(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65_536):
                sink.sendall(data)
        except OSError:
            pass
        sink.close()

    while True:
        try:
            client, _ = listening.accept()
        except OSError:
            return
        server = socket.create_connection(target)
        for ends in ((client, server), (server, client)):
            threading.Thread(target=pass_on, args=ends, daemon=True).start()


@pytest.mark.timeout(60)
def test_a_server_that_was_away_for_long_is_found_at_once_when_it_is_back(
    settings: Settings,
) -> None:
    at = psycopg.conninfo.conninfo_to_dict(settings.postgres.url.get_secret_value())
    target, port = (str(at["host"]), int(at["port"])), free_port("127.0.0.1")
    url = psycopg.conninfo.make_conninfo(**{**at, "host": "127.0.0.1", "port": port})
    with open_pool(url, settings.postgres) as pool:
        away_until = time.monotonic() + _AWAY_SEC
        while time.monotonic() < away_until:
            with (
                pytest.raises(StoreUnavailableError),
                postgres_errors("ask"),
                pool.connection(0.3),
            ):
                pass
        with socket.create_server(("127.0.0.1", port)) as listening:
            threading.Thread(target=forward, args=[listening, target], daemon=True).start()
            began = time.monotonic()
            while time.monotonic() - began < 20:
                try:
                    with postgres_errors("ask"), pool.connection(0.3) as conn:
                        conn.execute("SELECT 1")
                        break
                except StoreUnavailableError:
                    continue
            took = time.monotonic() - began
    assert took < 3
