"""What programs make in the state folder is for their owner alone, whatever the umask."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
import pytest
from typer.testing import CliRunner

from adctl.cli.root import app
from adctl.stores.catalog import CatalogStore
from adctl.stores.embedded.stack import EmbeddedStack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import redis

    from adctl.control.daemon_process import DaemonProcess


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def open_to_others(root: Path) -> list[str]:
    """Whatever below ``root``, or it itself, others could look into."""
    return [
        f"{path} {stat.filemode(path.lstat().st_mode)}"
        for path in (root, *root.rglob("*"))
        if path.is_dir() and path.stat().st_mode & 0o077
    ]


@pytest.mark.parametrize("daemon", ["bidder", "tracker"])
def test_folders_of_a_daemon_are_closed(
    daemon: str,
    start_daemon: Callable[..., DaemonProcess],
    redis_client: redis.Redis,
    tmp_path: Path,
) -> None:
    CatalogStore(redis_client).fill([])
    state = tmp_path / "a" / "state"
    with umask(0):
        start_daemon(daemon, ADCTL_STATE_DIR=str(state))
    assert {"metrics", "secrets"} <= {path.name for path in state.iterdir()}
    assert open_to_others(state.parent) == []
    secrets = [path for path in state.rglob("*") if path.suffix == ".hex"]
    assert secrets
    assert [path for path in secrets if path.stat().st_mode & 0o077] == []


def test_a_new_state_folder_is_closed_and_the_stack_works(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with umask(0):
        stack = EmbeddedStack(state / "stack")
        stack.start(owned=True)
    try:
        with psycopg.connect(stack.endpoints().postgres_url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert state.stat().st_mode & 0o777 == 0o700
        files = [path for path in state.rglob("*") if path.is_file()]
        assert [path for path in files if path.name == "stack.json" and open_to(path)] == []
    finally:
        stack.stop()
        stack.reset()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's PostgreSQL has data elsewhere")
def test_a_stack_whose_folder_was_removed_by_hand_begins_anew(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    homes = []
    for _ in range(2):
        stack = EmbeddedStack(closed / "stack")
        stack.start(owned=True)
        try:
            with psycopg.connect(stack.endpoints().postgres_url) as connection:
                connection.execute("SELECT 1")
        finally:
            stack.stop()
        homes.append(stack)
        (closed / "stack").rename(tmp_path / f"removed{len(homes)}")
    assert len({stack.servers[0].record.home for stack in homes}) == 2
    for number in (1, 2):
        EmbeddedStack(tmp_path / f"removed{number}").reset()


def test_doctor_says_what_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool").chmod(0o755)
    tmp_path.chmod(0o700)
    monkeypatch.setenv("ADCTL_STATE_DIR", str(tmp_path))
    result = CliRunner().invoke(app, ["doctor", "--output", "csv"])
    assert f"chmod 700 {tmp_path}/spool" in result.output


def open_to(path: Path) -> bool:
    return bool(path.stat().st_mode & 0o077)
