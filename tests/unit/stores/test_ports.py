from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from adctl.errors import FaultyInputError, StoreUnavailableError
from adctl.stores.embedded import ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HOST = "127.0.0.1"


def test_a_port_somebody_listens_on_is_not_free() -> None:
    with socket.create_server((HOST, 0)) as server:
        assert not ports.is_free(HOST, server.getsockname()[1])


@pytest.fixture
def claimed() -> Iterator[int]:
    port = ports.free_port(HOST)
    yield port
    ports.release(port)


def test_a_chosen_port_is_free(claimed: int) -> None:
    assert ports.is_free(HOST, claimed)


def test_no_other_process_chooses_a_claimed_port(claimed: int) -> None:
    program = f"from adctl.stores.embedded.ports import claim; print(claim({HOST!r}, {claimed}))"
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert told.stdout == "False\n"


def test_nor_does_this_one(claimed: int) -> None:
    assert not ports.claim(HOST, claimed)


def test_a_released_port_can_be_claimed_again(claimed: int) -> None:
    ports.release(claimed)
    assert ports.claim(HOST, claimed)


def test_a_port_somebody_listens_on_cannot_be_claimed() -> None:
    with socket.create_server((HOST, 0)) as server:
        assert not ports.claim(HOST, server.getsockname()[1])


def test_ports_of_outgoing_connections_are_never_chosen(claimed: int) -> None:
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert claimed < lowest


def test_no_port_left_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "is_free", lambda _host, _port: False)
    with pytest.raises(StoreUnavailableError, match="no free port in 20000 to 31999"):
        ports.free_port(HOST)


@pytest.mark.parametrize("look", [ports.is_free, ports.claim])
def test_a_host_that_is_no_address_is_told(look: Callable[[str, int], bool]) -> None:
    with pytest.raises(FaultyInputError, match=r"nowhere\.invalid"):
        look("nowhere.invalid", 20_000)
