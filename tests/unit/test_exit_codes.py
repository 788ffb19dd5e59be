from __future__ import annotations

import re
from pathlib import Path

import pytest

from adctl.cli.root import EXIT_BROKEN_PIPE, EXIT_INTERRUPTED
from adctl.errors import AdctlError

TABLE = Path(__file__).parents[2] / "docs" / "exit-codes.md"


def error_classes(root: type[AdctlError] = AdctlError) -> list[type[AdctlError]]:
    return [root, *(found for child in root.__subclasses__() for found in error_classes(child))]


def documented() -> dict[int, str]:
    rows = re.findall(r"^\| (\d+) \|.*\| *`?(\w*)`? *\|$", TABLE.read_text(), re.MULTILINE)
    return {int(code): name for code, name in rows}


@pytest.mark.parametrize(
    "error",
    [error for error in error_classes() if "exit_code" in vars(error)],
    ids=lambda e: e.__name__,
)
def test_every_exit_code_is_documented(error: type[AdctlError]) -> None:
    assert documented()[error.exit_code] == error.__name__


def test_no_exit_code_is_documented_that_nothing_raises() -> None:
    raised = {error.exit_code for error in error_classes()}
    assert set(documented()) == raised | {0, 2, EXIT_INTERRUPTED, EXIT_BROKEN_PIPE}
