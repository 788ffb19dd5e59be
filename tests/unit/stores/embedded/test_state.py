from __future__ import annotations

import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from adctl.errors import ConflictError
from adctl.stores.embedded.state import (
    ServerRecord,
    StackRecord,
    acquire,
    holding,
    is_held,
    load_record,
    save_record,
)

if TYPE_CHECKING:
    from pathlib import Path

RECORD = StackRecord(
    "127.0.0.1", ServerRecord(1, password="a"), ServerRecord(2, password="b"), ServerRecord(3)
)


def test_a_record_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    assert load_record(tmp_path) is None
    save_record(tmp_path, RECORD)
    assert load_record(tmp_path) == RECORD


def test_passwords_are_readable_by_their_owner_alone(tmp_path: Path) -> None:
    save_record(tmp_path, RECORD)
    assert stat.S_IMODE((tmp_path / "stack.json").stat().st_mode) == 0o600


def test_a_save_cut_short_leaves_the_record_before(tmp_path: Path) -> None:
    save_record(tmp_path, RECORD)
    (tmp_path / ".stack.json").write_text('{"host": "127')
    assert load_record(tmp_path) == RECORD
    save_record(tmp_path, RECORD)


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"host": 5}'])
def test_a_damaged_record_is_an_error_that_says_what_to_do(content: str, tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text(content)
    with pytest.raises(ConflictError, match="stack reset"):
        load_record(tmp_path)


def test_a_lock_is_held_until_it_is_closed(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    assert not is_held(lock)
    with holding(lock) as first:
        assert first
        assert is_held(lock)
        assert acquire(lock, wait_sec=0) is None
        with holding(lock) as second:
            assert not second
    assert not is_held(lock)


def test_a_child_that_inherits_a_lock_keeps_it_until_it_ends(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    descriptor = acquire(lock)
    child = [sys.executable, "-c", "input()"]
    with subprocess.Popen(child, stdin=subprocess.PIPE, pass_fds=[descriptor]) as process:
        os.close(descriptor)
        assert is_held(lock)
        process.kill()
    assert not is_held(lock)
