"""Unit tests reach no server: connecting anywhere fails at once."""

from __future__ import annotations

import socket
from typing import NoReturn

import psycopg
import pytest


@pytest.fixture(autouse=True)
def _no_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> NoReturn:
        pytest.fail("a unit test tried to reach a server; such a test belongs in tests/integration")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    # libpq connects below Python's sockets.
    monkeypatch.setattr(psycopg.Connection, "connect", refuse)
