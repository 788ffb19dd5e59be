from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from adctl.control.daemon_process import DaemonProcess, daemon_argv, daemon_environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from adctl.errors import UnhealthyError


@pytest.fixture
def lock(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def refused(tmp_path: Path) -> DaemonProcess:
    """A daemon whose configuration is faulty, so that it ends before it touches any store."""
    environment = {"ADCTL_STATE_DIR": str(tmp_path), "ADCTL_PACER_INTERVAL_SEC": "-1"}
    log = tmp_path / "logs" / "pacer.log"
    return DaemonProcess("pacer", ("127.0.0.1", 1), environment, log)


def end(daemon: DaemonProcess, lock: int) -> UnhealthyError:
    daemon.start(lock)
    assert daemon._child is not None
    daemon._child.wait(30)
    return daemon.failure()


def test_a_daemon_runs_on_this_python_and_never_on_the_current_folder() -> None:
    assert daemon_argv("bidder") == [sys.executable, "-P", "-m", "daemons.bidder"]


def test_a_relative_config_path_holds_in_every_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    environment = daemon_environment(tmp_path.relative_to(tmp_path) / "my.toml")
    assert environment["ADCTL_CONFIG"] == str(tmp_path / "my.toml")


def test_without_a_config_path_the_environment_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ADCTL_CONFIG", raising=False)
    assert daemon_environment(None) == dict(os.environ)


def test_a_daemon_that_was_never_started_is_not_alive(refused: DaemonProcess) -> None:
    assert not refused.alive()
    assert refused.pid == 0
    refused.stop()


def test_why_a_daemon_ended_is_told_with_its_last_words(refused: DaemonProcess, lock: int) -> None:
    told = str(end(refused, lock))
    assert "the pacer ended with status 4" in told
    assert "pacer.interval_sec" in told
    assert str(refused.log) in told


def test_only_the_last_start_is_quoted(refused: DaemonProcess, lock: int) -> None:
    refused.log.parent.mkdir()
    refused.log.write_text("an old story\n")
    assert "an old story" not in str(end(refused, lock))


def test_a_log_that_has_grown_is_put_aside_at_the_start(refused: DaemonProcess, lock: int) -> None:
    refused.log.parent.mkdir()
    refused.log.write_bytes(b"x" * (5 << 20))
    end(refused, lock)
    assert refused.log.stat().st_size < 10_000
    assert refused.log.with_name("pacer.log.1").stat().st_size == 5 << 20
