from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from adctl.stores.embedded.account import Account, can_enter, copy_readable, is_elsewhere

if TYPE_CHECKING:
    from collections.abc import Iterator

STRANGER = Account("stranger", uid=54_321, gid=54_321)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everyone may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder


def test_a_stranger_may_pass_where_everyone_may(open_folder: Path) -> None:
    assert can_enter(STRANGER, open_folder)


def test_one_closed_folder_on_the_way_is_enough_to_stop_a_stranger(open_folder: Path) -> None:
    inner = open_folder / "closed" / "inner"
    inner.mkdir(parents=True)
    inner.chmod(0o755)
    inner.parent.chmod(0o700)
    assert not can_enter(STRANGER, inner)
    owner = inner.stat()
    assert can_enter(Account("owner", owner.st_uid, owner.st_gid), inner)


def test_a_copy_is_readable_whatever_the_original_was(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "bin").mkdir(parents=True)
    (source / "bin" / "tool").write_text("x")
    (source / "bin" / "tool").chmod(0o600)
    (source / "bin").chmod(0o700)
    copy_readable(tmp_path, ("source",), tmp_path / "copy")
    folder = tmp_path / "copy" / "source" / "bin"
    assert folder.stat().st_mode & 0o777 == 0o755
    assert (folder / "tool").stat().st_mode & 0o777 == 0o755


def test_a_copy_cut_short_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "source" / "bin").mkdir(parents=True)
    (tmp_path / "copy.partial" / "rest").mkdir(parents=True)
    copy_readable(tmp_path, ("source",), tmp_path / "copy")
    assert [path.name for path in (tmp_path / "copy").iterdir()] == ["source"]


@pytest.mark.parametrize("home", ["", "/", "/home/me/stack", "/var/lib/adctl-postgres"])
def test_only_folders_made_elsewhere_count_as_elsewhere(home: str) -> None:
    assert not is_elsewhere(home)
