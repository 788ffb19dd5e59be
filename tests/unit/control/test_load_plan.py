from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from adctl.control.load_plan import as_tests, read_bodies, read_plan
from adctl.errors import FaultyInputError

if TYPE_CHECKING:
    from pathlib import Path


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(FaultyInputError) as caught:
        read_plan("nowhere", [0, 10, 10**9], "soon", 0, 0)
    named = [fault.field for fault in caught.value.faults]
    assert named == ["--url", "--rate", "--rate", "--for", "--connections", "--p99"]


def test_a_plan_is_read() -> None:
    plan = read_plan("http://b:1/x", [100, 200], "2m", 8, 50)
    assert (plan.endpoint.host, plan.rates, plan.for_sec) == ("b", [100, 200], 120)


def test_requests_are_read_line_by_line_and_blank_lines_left_out(tmp_path: Path) -> None:
    file = tmp_path / "requests"
    file.write_bytes(b'{"id":"1"}\n\n{"id":"2"}\n')
    assert read_bodies(file) == [b'{"id":"1"}', b'{"id":"2"}']


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "at least one bid request"),
        (b'{"id":"1"}\n[]\nnonsense\n', "line 2.*\n.*line 3"),
    ],
)
def test_requests_that_are_none_are_named(tmp_path: Path, content: bytes, told: str) -> None:
    file = tmp_path / "requests"
    file.write_bytes(content)
    with pytest.raises(FaultyInputError, match=told):
        read_bodies(file)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FaultyInputError, match="a file that can be read"):
        read_bodies(tmp_path / "none")


def test_tests_are_marked_whatever_they_said_before() -> None:
    marked = [msgspec.json.decode(body) for body in as_tests([b'{"id":"1","test":0}', b"{}"])]
    assert marked == [{"id": "1", "test": 1}, {"test": 1}]
