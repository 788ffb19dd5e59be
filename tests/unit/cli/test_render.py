from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

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
