from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import psycopg
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

REFUSED = pytest.fail.Exception


@pytest.fixture
def listening_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_socket_cannot_connect_in_a_unit_test(listening_port: int) -> None:
    with socket.socket() as client, pytest.raises(REFUSED):
        client.connect(("127.0.0.1", listening_port))


def test_postgres_cannot_be_reached_in_a_unit_test(listening_port: int) -> None:
    with pytest.raises(REFUSED):
        psycopg.Connection.connect(host="127.0.0.1", port=listening_port)
