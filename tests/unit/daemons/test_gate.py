from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import pytest

from daemons.gate import Gate, Tally

if TYPE_CHECKING:
    from collections.abc import Iterator


class Server:
    """As much of a server as a gate reaches."""

    def __init__(self, gate: Gate) -> None:
        self.active_channels: dict[int, object] = {}
        gate.guard(self)

    def readable(self) -> bool:
        return True

    def accept_one(self) -> bool:
        self.active_channels[len(self.active_channels)] = object()
        return True

    def connected(self, times: int) -> Server:
        for _ in range(times):
            self.active_channels[len(self.active_channels)] = object()
        self.readable()
        return self


@pytest.fixture
def sock() -> Iterator[socket.socket]:
    """A socket at which somebody waits."""
    one, other = socket.socketpair()
    with one, other:
        other.send(b"a connection")
        yield one


@pytest.fixture
def gates(sock: socket.socket) -> list[Gate]:
    tally = Tally()
    return [Gate(sock, tally, number) for number in range(2)]


def accepted(server: Server) -> bool:
    before = len(server.active_channels)
    server.accept_one()
    return len(server.active_channels) > before


def test_worker_with_the_fewest_connections_accepts_at_once(gates: list[Gate]) -> None:
    servers = [Server(gate) for gate in gates]
    servers[1].connected(3)
    assert accepted(servers[0].connected(2))


def test_worker_with_more_lets_the_other_go_first(gates: list[Gate]) -> None:
    servers = [Server(gate) for gate in gates]
    servers[0].connected(2)
    assert not accepted(servers[1].connected(3))
    assert gates[1].waits_sec > 0
    assert not servers[1].readable()


def test_connection_that_nobody_took_meanwhile_is_accepted(gates: list[Gate]) -> None:
    servers = [Server(gate) for gate in gates]
    servers[0].connected(2)
    assert not accepted(servers[1].connected(3))
    time.sleep(gates[1].waits_sec)
    assert servers[1].readable()
    assert accepted(servers[1])


def test_worker_that_is_not_there_is_not_waited_for(gates: list[Gate]) -> None:
    assert accepted(Server(gates[1]).connected(3))


def test_worker_that_leaves_is_not_waited_for(gates: list[Gate]) -> None:
    servers = [Server(gate) for gate in gates]
    servers[0].connected(2)
    gates[0].close()
    servers[0].readable()
    assert accepted(servers[1].connected(3))


def test_worker_that_leaves_still_accepts_whoever_waits(gates: list[Gate]) -> None:
    servers = [Server(gate) for gate in gates]
    servers[0].connected(2)
    servers[1].connected(9)
    gates[1].close()
    assert accepted(servers[1])
    assert accepted(servers[1])


def test_more_workers_than_can_be_counted_are_no_error(sock: socket.socket) -> None:
    assert accepted(Server(Gate(sock, Tally(), 10_000)).connected(3))


def test_worker_alone_accepts_any_number_in_a_row(sock: socket.socket) -> None:
    server = Server(Gate(sock, Tally(), 0)).connected(2)
    assert all(accepted(server) for _ in range(10))


def test_where_nobody_waits_nobody_is_let_go_first(sock: socket.socket, gates: list[Gate]) -> None:
    servers = [Server(gate) for gate in gates]
    servers[0].connected(2)
    sock.recv(100)
    assert not accepted(servers[1].connected(3))
    assert gates[1].waits_sec == 0
