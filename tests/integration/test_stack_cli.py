"""``adctl stack`` as a person or a script uses it: servers that outlive the command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import redis

from adctl.stores.embedded.state import load_record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def adctl(state_dir: Path) -> Iterator[Run]:
    """Run adctl on a state folder of the test's own; its stack is stopped at the end."""
    folder = state_dir / "detached"

    def run(*arguments: str, answer: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "adctl", *arguments],
            env={**os.environ, "ADCTL_STATE_DIR": str(folder)},
            input=answer,
            capture_output=True,
            text=True,
            check=False,
        )

    yield run
    run("stack", "stop")


def servers(adctl: Run) -> dict[str, dict[str, Any]]:
    listed = json.loads(adctl("stack", "status", "--output", "json").stdout)
    return {server["name"]: server for server in listed}


def test_the_life_of_a_detached_stack(adctl: Run, state_dir: Path) -> None:
    folder = state_dir / "detached" / "stack"
    assert adctl("stack", "status").returncode == 8

    started = adctl("stack", "start", "--output", "json")
    assert started.returncode == 0, started.stderr
    before = servers(adctl)
    assert list(before) == ["postgres", "valkey", "kafka"]
    assert adctl("stack", "status").returncode == 0

    again = adctl("stack", "start")
    assert (again.returncode, "is running" in again.stderr) == (6, True)

    with redis.Redis.from_url(load_record(folder).redis_url) as client:
        client.set("kept", 1)
    os.kill(before["valkey"]["pid"], signal.SIGKILL)
    psutil.wait_procs([psutil.Process(before["valkey"]["pid"])], timeout=0.2)
    down = adctl("stack", "status")
    assert (down.returncode, "not running: valkey" in down.stderr) == (8, True)

    assert adctl("stack", "start").returncode == 0
    after = servers(adctl)
    assert after["postgres"] == before["postgres"]
    assert after["valkey"]["port"] == before["valkey"]["port"]
    with redis.Redis.from_url(load_record(folder).redis_url) as client:
        assert client.get("kept") == b"1"

    refused = adctl("stack", "reset", "--yes")
    assert (refused.returncode, "stop it first" in refused.stderr) == (6, True)
    assert adctl("stack", "stop").stderr == "Stopped kafka, valkey, postgres.\n"
    assert adctl("stack", "stop").stderr == "Nothing was running.\n"


def test_reset_asks_and_a_dry_run_deletes_nothing(adctl: Run) -> None:
    adctl("stack", "start")
    adctl("stack", "stop")
    told = adctl("stack", "reset", "--dry-run").stdout
    # Where PostgreSQL has an account of its own, its data is below that account's folder.
    kept = [path for word in told.split() if (path := Path(word)).is_absolute() and path.exists()]
    assert any(list(path.glob("**/PG_VERSION")) for path in kept)
    assert adctl("stack", "reset", answer="n\n").returncode == 6
    assert all(path.exists() for path in kept)
    assert adctl("stack", "reset", answer="y\n").returncode == 0
    assert not any(path.exists() for path in kept)


def test_starting_beyond_loopback_is_refused(adctl: Run) -> None:
    refused = adctl("stack", "start", "--host", "0.0.0.0")
    assert (refused.returncode, "loopback" in refused.stderr) == (3, True)


def test_two_starts_at_once_give_one_stack(adctl: Run, state_dir: Path) -> None:
    command = [sys.executable, "-m", "adctl", "stack", "start"]
    environment = {**os.environ, "ADCTL_STATE_DIR": str(state_dir / "detached")}
    starts = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    for start in starts:
        start.communicate()
    assert sorted(start.returncode for start in starts) == [0, 6]
    assert all(server["running"] for server in servers(adctl).values())
