from __future__ import annotations

import socket
from pathlib import Path

import pytest

from adctl.errors import StoreUnavailableError
from adctl.stores.embedded import ports

HOST = "127.0.0.1"


def test_a_port_somebody_listens_on_is_not_free() -> None:
    with socket.create_server((HOST, 0)) as server:
        assert not ports.is_free(HOST, server.getsockname()[1])


def test_chosen_ports_are_free_and_never_the_same() -> None:
    taken: set[int] = set()
    chosen = [ports.free_port(HOST, taken) for _ in range(20)]
    assert len(set(chosen)) == 20
    assert taken == set(chosen)
    assert all(ports.is_free(HOST, port) for port in chosen)


def test_ports_of_outgoing_connections_are_never_chosen() -> None:
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert ports.free_port(HOST, set()) < lowest


def test_no_port_left_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "is_free", lambda _host, _port: False)
    with pytest.raises(StoreUnavailableError, match="no free port in 20000 to 31999"):
        ports.free_port(HOST, set())
