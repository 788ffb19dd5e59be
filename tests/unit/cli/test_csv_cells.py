"""What no cell of a CSV may be, by a reading of it that knows nothing of how it is made."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adctl.cli.csv_cells import csv_cell, csv_text, harmless
from adctl.cli.render import Output, render_record, render_rows
from tests.unit.cli.spreadsheet import cells_that_run

_STARTS = ["=1+1", "+1", "-2+3", "@sum(1)", "\tx", "\rx", "\nx", "\0x", "\uff1d1", "-"]
_BEFORE = ["", " ", "\u00a0", "\ufeff", '"', "'", "' \" ", "\x1b", "x;", "x\t", "x\n", "x; '"]


@pytest.mark.parametrize("start", _STARTS)
@pytest.mark.parametrize("before", _BEFORE)
def test_no_cell_runs_whatever_stands_before_it(start: str, before: str) -> None:
    assert not cells_that_run(written(before + start))


@given(st.lists(st.text(st.sampled_from("=+-@\t\r\n;,\"' |a1.\uff1d\ufeff\x1b")), min_size=1))
@example(['";=1'])
@example(["a\n=1"])
def test_no_text_makes_a_cell_that_runs(texts: list[str]) -> None:
    assert not cells_that_run(written(*texts))


@given(st.text())
def test_what_was_text_can_be_had_back_by_taking_out_apostrophes(text: str) -> None:
    assert harmless(text).replace("'", "") == text.replace("'", "")


@pytest.mark.parametrize(
    "text", ["Acme", "a-b", "1+1", "a@b.example", "'n Sync", "2026-11-01", "", "x = y", "[1,-2]"]
)
def test_ordinary_text_is_left_as_it_is(text: str) -> None:
    assert harmless(text) == text


@pytest.mark.parametrize(
    ("column", "value", "cell"),
    [
        ("balance", "-1.50", "-1.50"),
        ("amount", "-0.000000001", "-0.000000001"),
        ("any", Decimal("-1.50"), "-1.50"),
        ("any", -3, -3),
        ("any", -0.5, "-0.5"),
        # What looks like a number in a column of names is somebody's text.
        ("campaign", "-1.50", "'-1.50"),
        ("site", "-1", "'-1"),
        ("balance", "-1+1", "'-1+1"),
        ("balance", "-1.50\n", "'-1.50\n"),
        ("any", ["=1"], '["=1"]'),
    ],
)
def test_our_own_negative_amounts_stay_numbers(column: str, value: object, cell: object) -> None:
    assert csv_cell(column, value) == cell


def test_json_is_left_exact_and_csv_is_not_run(capsys: pytest.CaptureFixture[str]) -> None:
    row = {"site": '=hyperlink("http://e.example")', "at": datetime(2026, 1, 2, tzinfo=UTC)}
    render_rows([row], Output.JSON)
    assert '"=hyperlink(\\"http://e.example\\")"' in capsys.readouterr().out
    for show in (lambda: render_rows([row], Output.CSV), lambda: render_record(row, Output.CSV)):
        show()
        assert not cells_that_run(capsys.readouterr().out)


@pytest.mark.parametrize("output", [Output.TABLE, Output.CSV])
@pytest.mark.parametrize("char", ["\x1b", "\x9b", "\x07", "\r", "\x08", "\u202e", "\u2066", "\x00"])
def test_no_control_character_reaches_a_terminal(
    output: Output, char: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    render_rows([{"site": f"news{char}[31m.example"}], output)
    told = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert char not in told
    assert "[31m.example" in told


def written(*texts: str) -> str:
    """Return a CSV with one row of ``texts``."""
    row = {str(number): text for number, text in enumerate(texts)}
    text = csv_text(list(row), [row])
    assert next(iter(csv.reader(io.StringIO(text, newline="")))) == list(row)
    assert len(list(csv.reader(io.StringIO(text, newline="")))) == 2
    return text
