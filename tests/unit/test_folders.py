from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from adctl.folders import make_private

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o277, 0o777], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def test_what_is_missing_is_made_for_its_owner_alone(tmp_path: Path, umask: None) -> None:
    tmp_path.chmod(0o755)
    make_private(tmp_path / "state" / "metrics" / "bidder")
    made = [tmp_path / "state", tmp_path / "state/metrics", tmp_path / "state/metrics/bidder"]
    assert [mode(folder) for folder in made] == [0o700] * 3
    assert mode(tmp_path) == 0o755


def test_what_is_there_stays_as_it_is(tmp_path: Path, umask: None) -> None:
    tmp_path.chmod(0o750)
    make_private(tmp_path)
    assert mode(tmp_path) == 0o750


def test_a_file_in_its_place_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    with pytest.raises(OSError, match="state"):
        make_private(tmp_path / "state")
