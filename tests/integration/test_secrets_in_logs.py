"""No daemon shows a secret of a faulty configuration: at its start, or when it reads it again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from adctl.stores.catalog import CatalogStore
from tests.conftest import DAEMONS
from tests.planted_secrets import plant, put, seen

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import redis

    from adctl.control.daemon_process import DaemonProcess

PLANTED = plant()
_PATIENCE_SEC = 20
_REFUSED = "the configuration is not taken"


def as_toml(tables: dict[str, Any]) -> str:
    """Inline tables of text, numbers and switches are the same in JSON, but for the colon."""

    def inline(value: object) -> str:
        if isinstance(value, dict):
            return "{" + ", ".join(f"{key} = {inline(one)}" for key, one in value.items()) + "}"
        return json.dumps(value)

    return "".join(f"{key} = {inline(value)}\n" for key, value in tables.items())


def faulty() -> list[tuple[str, str]]:
    """Configurations that cannot be taken, each with the key that is named."""
    at = PLANTED.tables
    return [
        ("retention.events_days", as_toml(put(at, ("retention", "events_days"), 1))),
        ("exchanges.x.price_keys", as_toml(put(at, ("exchanges", "x", "preset"), "google"))),
        ("postgres.ulr", as_toml(put(at, ("postgres", "ulr"), at["postgres"]["url"]))),
        ("--config", f"{as_toml(at)}\n{min(PLANTED.words)}\n"),
    ]


@pytest.mark.parametrize("daemon", DAEMONS)
@pytest.mark.parametrize("case", range(2))
def test_daemon_that_cannot_start_shows_no_secret(daemon: str, case: int, tmp_path: Path) -> None:
    key, text = faulty()[case]
    file = tmp_path / "adctl.toml"
    file.write_text(text)
    env = {**os.environ, "ADCTL_CONFIG": str(file), "ADCTL_DEBUG": "1"}
    argv = [sys.executable, "-m", f"daemons.{daemon}"]
    ended = subprocess.run(argv, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 4
    assert key in ended.stderr
    assert seen(PLANTED.words, ended.stdout + ended.stderr) == []


@pytest.mark.parametrize("daemon", ["bidder", "tracker"])
def test_daemon_that_reads_a_faulty_file_again_stays_and_shows_no_secret(
    daemon: str,
    start_daemon: Callable[..., DaemonProcess],
    redis_client: redis.Redis,
    tmp_path: Path,
) -> None:
    CatalogStore(redis_client).fill([])
    file = tmp_path / "adctl.toml"
    file.write_text("")
    process = start_daemon(daemon, ADCTL_CONFIG=str(file))
    for refusals, (key, text) in enumerate(faulty()):
        file.write_text(text)
        os.kill(process.pid, signal.SIGHUP)
        deadline = time.monotonic() + _PATIENCE_SEC
        while (log := process.log.read_text()).count(_REFUSED) <= refusals:
            assert time.monotonic() < deadline, log
            time.sleep(0.02)
        assert key in log
        assert seen(PLANTED.words, log) == []
    assert process.alive()
