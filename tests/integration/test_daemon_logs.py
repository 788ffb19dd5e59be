"""A daemon's log, while the daemon and all of its workers run."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from adctl.stores.log_file import MAX_LOG_BYTES, put_aside

if TYPE_CHECKING:
    from collections.abc import Callable

    from adctl.control.daemon_process import DaemonProcess

SECRETS = {"ADCTL_SIGNING_KEYS": f"1:{'11' * 32}", "ADCTL_SIGNING_USER_KEY": "22" * 32}


def outputs(daemon: DaemonProcess) -> set[Path]:
    """The files that the daemon and its workers write to."""
    parent = psutil.Process(daemon.pid)
    pids = [parent.pid, *(child.pid for child in parent.children(recursive=True))]
    return {Path(f"/proc/{pid}/fd/{output}").readlink() for pid in pids for output in (1, 2)}


@pytest.mark.parametrize("name", ["tracker", "api"])
def test_log_that_is_full_is_put_aside_and_all_workers_write_to_the_next(
    start_daemon: Callable[..., DaemonProcess], name: str
) -> None:
    daemon = start_daemon(name, **SECRETS, ADCTL_TRACKER_WORKERS="3")
    assert outputs(daemon) == {daemon.log}
    with daemon.log.open("ab") as log:
        log.write(b"x" * MAX_LOG_BYTES)
    deadline = time.monotonic() + 20
    while not put_aside(daemon.log).exists() or outputs(daemon) != {daemon.log}:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert daemon.log.stat().st_size < 10_000
    assert put_aside(daemon.log).stat().st_size > MAX_LOG_BYTES
