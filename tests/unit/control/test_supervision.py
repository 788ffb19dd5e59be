from __future__ import annotations

import os
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from adctl.config import load_settings
from adctl.control.daemon_process import START_ORDER
from adctl.control.supervision import Supervisor
from adctl.errors import ConflictError
from adctl.stores.embedded.ports import claim, free_port, release

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def supervise(tmp_path: Path) -> Callable[..., Supervisor]:
    def make(**ports: int) -> Supervisor:
        overrides: dict[str, Any] = {name: {"port": ports.get(name, 0)} for name in START_ORDER}
        settings = load_settings(overrides={"state_dir": tmp_path / "state", **overrides})
        return Supervisor(settings, {"PATH": "/bin"}, lambda _text: None)

    return make


def test_port_0_becomes_a_port_of_its_own_for_every_daemon(
    supervise: Callable[..., Supervisor],
) -> None:
    settings = supervise(api=8082).settings
    ports = [getattr(settings, name).port for name in START_ORDER]
    assert len(set(ports)) == len(ports)
    assert all(ports)
    assert settings.api.port == 8082


def test_no_store_is_given_a_port_that_was_chosen_for_a_daemon_or_configured(
    supervise: Callable[..., Supervisor],
) -> None:
    configured = free_port("127.0.0.1")
    release(configured)
    settings = supervise(api=configured).settings
    ports = [getattr(settings, name).port for name in START_ORDER]
    assert configured in ports
    assert not any(claim("127.0.0.1", port) for port in ports)


def test_tracking_urls_name_the_port_that_was_chosen(
    supervise: Callable[..., Supervisor],
) -> None:
    settings = supervise().settings
    assert settings.tracker.base_url == f"http://127.0.0.1:{settings.tracker.port}"


def test_daemons_are_told_folder_and_ports(
    supervise: Callable[..., Supervisor], tmp_path: Path
) -> None:
    supervisor = supervise()
    assert supervisor.environment["ADCTL_STATE_DIR"] == str(tmp_path / "state")
    assert supervisor.environment["ADCTL_PACER_PORT"] == str(supervisor.settings.pacer.port)
    assert supervisor.environment["PATH"] == "/bin"


def test_all_taken_ports_are_named_with_their_settings(
    supervise: Callable[..., Supervisor],
) -> None:
    free = ("127.0.0.1", 0)
    with socket.create_server(free) as one, socket.create_server(free) as two:
        bidder, api = one.getsockname()[1], two.getsockname()[1]
        supervisor = supervise(bidder=bidder, api=api)
        with pytest.raises(ConflictError) as refused:
            supervisor.start(threading.Event())
        supervisor.stop()
    assert f"bidder: 127.0.0.1:{bidder} is taken" in str(refused.value)
    assert "bidder.port (ADCTL_BIDDER_PORT)" in str(refused.value)
    assert "api.port (ADCTL_API_PORT)" in str(refused.value)
    assert "pacer" not in str(refused.value)


def test_a_folder_in_use_is_refused_and_its_user_named(
    supervise: Callable[..., Supervisor],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        first = supervise(bidder=server.getsockname()[1])
        with pytest.raises(ConflictError, match=r"bidder\.port"):
            first.start(threading.Event())  # holds the folder until it is stopped
        with pytest.raises(ConflictError, match=f"in use by another adctl \\(pid {os.getpid()}\\)"):
            supervise().start(threading.Event())
        first.stop()


def test_stopping_what_was_never_started_does_nothing(
    supervise: Callable[..., Supervisor], tmp_path: Path
) -> None:
    supervise().stop()
    assert not (tmp_path / "state").exists()
