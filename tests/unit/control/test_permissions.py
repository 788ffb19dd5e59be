"""What doctor says of folders and files that others may look into."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from typing import TYPE_CHECKING

import pytest

from adctl.config import Settings
from adctl.control.permissions import loose_modes
from adctl.folders import make_private
from tests.planted_secrets import Leaf, plant, secret_leaves

if TYPE_CHECKING:
    from pathlib import Path

FOLDERS = ("", "stack", "secrets", "spool", "journal", "metrics", "logs")
FILES = ("secrets/signing-1.hex", "secrets/user.hex", "stack/stack.json")
NOBODY = 65_534


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a state folder where everything is closed."""
    state = tmp_path / "state folder"
    for name in FOLDERS:
        make_private(state / name)
    for name in FILES:
        (state / name).write_text("{}")
        (state / name).chmod(0o600)
    return Settings(state_dir=state)


def test_nothing_is_said_where_all_is_closed(settings: Settings) -> None:
    assert loose_modes(settings, None) == []


def test_nothing_is_said_of_what_is_not_there(tmp_path: Path) -> None:
    assert loose_modes(Settings(state_dir=tmp_path / "x"), tmp_path / "none.toml") == []


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o707, 0o777, 0o1777])
@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_is_closed_by_what_is_said_of_it(settings: Settings, name: str, mode: int) -> None:
    folder = settings.state_dir / name
    folder.chmod(mode)
    [loose] = loose_modes(settings, None)
    assert (loose.path, loose.mode) == (folder, mode)
    subprocess.run(shlex.split(loose.command), check=True)
    assert loose_modes(settings, None) == []
    assert folder.stat().st_mode & 0o066 == 0


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
@pytest.mark.parametrize("name", FILES)
def test_a_file_with_secrets_is_for_its_owner_alone(
    settings: Settings, name: str, mode: int
) -> None:
    (settings.state_dir / name).chmod(mode)
    [loose] = loose_modes(settings, None)
    assert loose.command.startswith("chmod 600 ")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be several users")
def test_postgres_of_another_account_can_still_reach_its_data(settings: Settings) -> None:
    stack = settings.state_dir / "stack"
    servers = {name: {"port": 1} for name in ("postgres", "valkey", "kafka")}
    (stack / "stack.json").write_text(json.dumps({"host": "127.0.0.1", **servers}))
    (stack / "pgdata").mkdir(mode=0o700)
    os.chown(stack / "pgdata", NOBODY, NOBODY)
    settings.state_dir.chmod(0o711)
    stack.chmod(0o711)
    assert loose_modes(settings, None) == []
    settings.state_dir.chmod(0o755)
    [loose] = loose_modes(settings, None)
    assert loose.command.startswith("chmod 711 ")


@pytest.mark.parametrize("leaf", secret_leaves(), ids=lambda leaf: ".".join(leaf.path))
def test_a_file_with_a_secret_in_it_is_not_for_everyone(
    settings: Settings, tmp_path: Path, leaf: Leaf
) -> None:
    *tables, key = leaf.path
    value = plant().tables
    for part in leaf.path:
        value = value[part]
    file = tmp_path / "adctl.toml"
    file.write_text(f"[{'.'.join(tables)}]\n{key} = '{value}'\n")
    file.chmod(0o644)
    assert [loose.path for loose in loose_modes(settings, file)] == [file]
    file.chmod(0o640)
    assert loose_modes(settings, file) == []


def test_a_file_without_secrets_may_be_read_by_everyone(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "adctl.toml"
    file.write_text("[postgres]\npool_size = 3\nurl = ''\n[bidder]\nseat = 'x'\n")
    file.chmod(0o644)
    assert loose_modes(settings, file) == []
