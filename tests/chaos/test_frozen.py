"""Whether what is frozen stays frozen for as long as was said, and goes on afterwards."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.chaos.frozen import Freezer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def pid() -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        yield process.pid
        process.kill()


def _is_frozen(pid: int) -> bool:
    return psutil.Process(pid).status() == psutil.STATUS_STOPPED


def test_a_second_freeze_is_not_cut_short_by_the_end_of_the_first(pid: int) -> None:
    freezer = Freezer()
    freezer.freeze(pid, 0.2)
    freezer.freeze(pid, 60)
    time.sleep(0.5)
    assert _is_frozen(pid)
    freezer.thaw_all()
    assert not _is_frozen(pid)


def test_a_shorter_second_freeze_does_not_end_the_first(pid: int) -> None:
    freezer = Freezer()
    freezer.freeze(pid, 60)
    freezer.freeze(pid, 0.2)
    time.sleep(0.5)
    assert _is_frozen(pid)
    freezer.thaw_all()


def test_what_was_frozen_goes_on_by_itself(pid: int) -> None:
    freezer = Freezer()
    freezer.freeze(pid, 0.2)
    time.sleep(1)
    assert not _is_frozen(pid)
    assert not freezer.busy
