from __future__ import annotations

import contextlib
import csv
import io
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich import box
from rich.console import Console
from rich.table import Table

from adctl.cli import render
from adctl.cli.render import Output, confirm, progress, render_record, render_rows, say, warn
from adctl.errors import ConflictError
from adctl.models import FrequencyCap, Status

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
ROWS = [
    {"id": 1, "name": "Spring", "status": Status.ACTIVE, "spend": "12.500000000", "at": NOON},
    {"id": 22, "name": "Autumn", "status": Status.PAUSED, "spend": "0", "at": None},
]


def test_json_holds_the_rows_whole(capsys: pytest.CaptureFixture[str]) -> None:
    render_rows(ROWS, Output.JSON, ["id"])
    rows = json.loads(capsys.readouterr().out)
    assert rows[0] == {
        "id": 1,
        "name": "Spring",
        "status": "active",
        "spend": "12.500000000",
        "at": "2026-01-02T12:00:00Z",
    }


def test_no_rows_are_an_empty_json_array(capsys: pytest.CaptureFixture[str]) -> None:
    render_rows([], Output.JSON)
    assert json.loads(capsys.readouterr().out) == []


def test_csv_has_a_header_even_without_rows(capsys: pytest.CaptureFixture[str]) -> None:
    render_rows([], Output.CSV, ["id", "name"])
    assert capsys.readouterr().out == "id,name\n"


def test_csv_cells_survive_commas_and_quotes(capsys: pytest.CaptureFixture[str]) -> None:
    awkward = 'a "b", c\nd'
    render_rows(
        [{"name": awkward, "caps": [FrequencyCap(3, 60)], "on": True, "at": NOON}], Output.CSV
    )
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    caps = '[{"limit":3,"window_sec":60}]'
    assert rows == [["name", "caps", "on", "at"], [awkward, caps, "true", "2026-01-02T12:00:00Z"]]


def test_table_shows_the_chosen_columns(capsys: pytest.CaptureFixture[str]) -> None:
    render_rows(ROWS, Output.TABLE, ["name", "spend"])
    header, _, first, second = [
        line for line in capsys.readouterr().out.splitlines() if line.strip()
    ]
    assert header.split() == ["name", "spend"]
    assert first.split() == ["Spring", "12.500000000"]
    assert second.split() == ["Autumn", "0"]


def test_numbers_stand_on_the_right(capsys: pytest.CaptureFixture[str]) -> None:
    render_rows([{"spend": "1.5", "end": "x"}, {"spend": "10.25", "end": "x"}])
    lines = capsys.readouterr().out.splitlines()
    assert [
        line.index("x") - len(line[: line.index("x")].rstrip()) for line in lines if "x" in line
    ]
    assert any("  1.5   x" in line for line in lines)


def test_times_are_shown_with_their_zone(capsys: pytest.CaptureFixture[str]) -> None:
    render_record({"at": NOON})
    assert "2026-01-02 12:00:00+00:00" in capsys.readouterr().out


def test_piped_tables_are_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    long = "w" * 500
    render_rows([{"name": long}])
    assert long in capsys.readouterr().out


def test_output_has_no_colour_when_it_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    render_rows(ROWS)
    warn("careful")
    captured = capsys.readouterr()
    assert "\x1b" not in captured.out + captured.err


@pytest.mark.parametrize("show", [say, warn, lambda text: render_rows([{"name": text}])])
def test_escape_sequences_in_names_do_not_reach_the_terminal(
    show: object, capsys: pytest.CaptureFixture[str]
) -> None:
    show("evil\x1b[2Jname\x07")
    captured = capsys.readouterr()
    assert "\x1b" not in captured.out + captured.err
    assert "evil" in captured.out + captured.err


def test_markup_in_names_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    render_rows([{"name": "[bold]x[/bold] :smile:"}])
    assert "[bold]x[/bold] :smile:" in capsys.readouterr().out


def test_a_record_is_one_json_object_with_exact_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    render_record({"spend": Decimal("0.000000001"), "nanos": 2**63 - 1}, Output.JSON)
    found = json.loads(capsys.readouterr().out)
    assert found == {"spend": "0.000000001", "nanos": 2**63 - 1}


def test_messages_stay_out_of_the_results(capsys: pytest.CaptureFixture[str]) -> None:
    say("done")
    assert capsys.readouterr().out == ""


def test_yes_asks_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    confirm("Delete everything?", yes=True)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("answer", ["n\n", "\n", ""])
def test_anything_but_agreement_refuses(answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    with pytest.raises(ConflictError, match="--yes"):
        confirm("Delete everything?", yes=False)


def test_agreement_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    confirm("Delete everything?", yes=False)


def test_progress_is_silent_when_piped(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("Working", total=2) as advance:
        advance(1)
    assert capsys.readouterr().err.strip() == ""


def test_every_output_is_offered() -> None:
    assert [output.value for output in render.Output] == ["table", "json", "csv"]


_CELLS = st.one_of(
    st.none(),
    st.integers(-(10**6), 10**6),
    st.sampled_from(
        ["", "1.5", "a\nbb\n", " lead", "two  spaces", "x" * 25, "日本 wörd", "b c " * 9]
    ),
)


@given(
    st.lists(st.tuples(_CELLS, _CELLS, _CELLS), min_size=1, max_size=4),
    st.sampled_from([10_000, 60, 30, 24]),
)
def test_a_table_looks_as_rich_lays_it_out_with_all_its_cells(
    rows: list[tuple[object, ...]], width: int
) -> None:
    names, ours, theirs = ("id", "name_of_it", "note"), io.StringIO(), io.StringIO()
    console = Console(file=ours, width=width, highlight=False, emoji=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    cells = [[render._cell(value) for value in row] for row in rows]
    for place, name in enumerate(names):
        column = [row[place].plain for row in cells if row[place].plain]
        numeric = all(render._NUMBER.fullmatch(cell) for cell in column)
        justify: Literal["left", "right"] = "right" if numeric else "left"
        table.add_column(render._heading(name), justify=justify, overflow="fold")
    for row in cells:
        table.add_row(*row)
    Console(file=theirs, width=width, highlight=False, emoji=False).print(table)
    with (
        mock.patch.object(render, "_console", return_value=console),
        contextlib.redirect_stdout(ours),
    ):
        render_rows([dict(zip(names, row, strict=True)) for row in rows], Output.TABLE, names)
    assert ours.getvalue() == theirs.getvalue()
