"""All output of the CLI. The only module that knows Rich.

Results go to stdout, everything said about them to stderr, so that a pipe carries results alone.
"""

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from enum import Enum, StrEnum
from itertools import chain, zip_longest
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
import typer
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from adctl.cli.csv_cells import csv_text
from adctl.errors import ConflictError


class Output(StrEnum):
    """How results are printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


OutputOption = Annotated[
    Output, typer.Option("--output", "-o", help="Print a table, JSON or CSV.", show_default=True)
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Say what would be done; do nothing.")
]

# Wider than any table: piped output is cut by its reader, never by a guess at a width.
_PIPED_WIDTH = 10_000
_GAP = "   "
_NUMBER = re.compile(r"-?[\d,]*\.?\d+%?")


def render_rows(
    rows: Sequence[Mapping[str, object]],
    output: Output = Output.TABLE,
    columns: Sequence[str] | None = None,
) -> None:
    """Print ``rows`` on stdout. ``columns`` picks and orders those of table and CSV.

    JSON is one array holding the rows whole. Without ``columns`` those of the first row are taken;
    where there may be no rows they are needed, for a CSV always has its header.
    """
    names = list(columns if columns is not None else (rows[0] if rows else ()))
    if output is Output.CSV:
        _print_csv(rows, names)
        return
    rows = [_exact(row) for row in rows]
    if output is Output.JSON:
        _print_json(rows)
    else:
        _print_table(rows, names)


def render_record(record: Mapping[str, object], output: Output = Output.TABLE) -> None:
    """Print one ``record``: a line per field, a JSON object, or CSV with one row."""
    if output is Output.CSV:
        _print_csv([record], list(record))
        return
    record = _exact(record)
    if output is Output.JSON:
        _print_json(record)
    else:
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in record.items():
            table.add_row(_heading(name), _cell(value))
        _console().print(table)


def say(message: str) -> None:
    """Tell the person something, beside the results."""
    _console(stderr=True).print(Text(_printable(message)), soft_wrap=True)


def warn(message: str) -> None:
    """Tell the person about something that may need attention."""
    text = Text.assemble(("warning: ", "yellow"), _printable(message))
    _console(stderr=True).print(text, soft_wrap=True)


def show_error(message: str) -> None:
    """Tell the person why the command failed. Commands raise instead of calling this."""
    text = Text.assemble(("error: ", "bold red"), _printable(message))
    _console(stderr=True).print(text, soft_wrap=True)


def confirm(question: str, *, yes: bool) -> None:
    """Return if ``yes`` or if the person agrees; raise ConflictError otherwise."""
    if yes:
        return
    try:
        agreed = typer.confirm(_printable(question), err=True)
    except typer.Abort:
        typer.echo(err=True)  # the prompt's line is still open
        agreed = False
    if not agreed:
        raise ConflictError("not confirmed, so nothing was done (--yes does it without asking)")


@contextmanager
def progress(description: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Show a bar on a terminal's stderr, nothing elsewhere. Yields ``advance(steps)``."""
    console = _console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(description, total=total)
        yield lambda steps: bar.advance(task, steps)


def _console(*, stderr: bool = False) -> Console:
    # Made per call: tests and pipes replace the streams.
    stream = sys.stderr if stderr else sys.stdout
    return Console(
        file=stream, width=None if stream.isatty() else _PIPED_WIDTH, highlight=False, emoji=False
    )


def _exact(row: Mapping[str, object]) -> dict[str, object]:
    # Without an exponent, which Decimal falls back to for small numbers.
    return {
        name: format(value, "f") if isinstance(value, Decimal) else value
        for name, value in row.items()
    }


def _print_json(value: object) -> None:
    encoded = msgspec.json.encode(value, enc_hook=_plain)
    sys.stdout.write(msgspec.json.format(encoded, indent=2).decode() + "\n")


def _plain(value: Any) -> object:
    return str(value)


def _print_csv(rows: Sequence[Mapping[str, object]], names: Sequence[str]) -> None:
    text = csv_text(names, rows)
    sys.stdout.write(_printable(text) if sys.stdout.isatty() else text)


def _print_table(rows: Sequence[Mapping[str, object]], names: Sequence[str]) -> None:
    if not rows:
        say("nothing to show")
        return
    cells = [[_printable(_shown(row.get(name))) for name in names] for row in rows]
    columns = [
        _column(_heading(name), of_column)
        for name, of_column in zip(names, zip(*cells, strict=True), strict=True)
    ]
    console = _console()
    head, widths = _laid_out(console, columns)
    lines = (_lines_of(console, line, columns, widths) for line in cells)
    blank = " " * (sum(widths) + len(_GAP) * (len(widths) - 1) + 2)
    sys.stdout.write("\n".join([*head, *chain.from_iterable(lines), blank, ""]))


class _Column(NamedTuple):
    heading: Text
    justify: Literal["left", "right"]
    width: int
    """Of its longest line, its heading's included."""


def _column(heading: Text, cells: Sequence[str]) -> _Column:
    numeric = all(_NUMBER.fullmatch(cell) for cell in cells if cell)
    width = max(map(_width, cells))
    return _Column(heading, "right" if numeric else "left", max(width, heading.cell_len))


def _laid_out(console: Console, columns: Sequence[_Column]) -> tuple[list[str], list[int]]:
    """Return the lines of a table's head, and how wide its columns come out on this console.

    Rich lays a table out by the longest lines of its columns. It is given those alone: all cells
    would take it a millisecond a row.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.heading, justify=column.justify, overflow="fold")
    table.add_row(*(Text("x" * column.width) for column in columns))
    with console.capture() as captured:
        console.print(table)
    lines = captured.get().split("\n")
    at = next(place for place, line in enumerate(lines) if line.strip(" ─") == "" and "─" in line)
    return lines[: at + 1], [len(filled) for filled in lines[at + 1].split()]


def _lines_of(
    console: Console, cells: Sequence[str], columns: Sequence[_Column], widths: Sequence[int]
) -> list[str]:
    """Return the lines of one row."""
    folded = [
        [cell] if "\n" not in cell and _width(cell) <= width else _folded(console, cell, width)
        for cell, width in zip(cells, widths, strict=True)
    ]
    return [
        " " + _GAP.join(map(_padded, parts, columns, widths)) + " "
        for parts in zip_longest(*folded, fillvalue="")
    ]


def _folded(console: Console, cell: str, width: int) -> list[str]:
    wrapped = Text(cell).wrap(console, width, overflow="fold")
    return [line.plain.rstrip() for line in wrapped]


def _padded(text: str, column: _Column, width: int) -> str:
    padding = " " * (width - _width(text))
    return padding + text if column.justify == "right" else text + padding


def _width(text: str) -> int:
    if text.isascii() and "\n" not in text:
        return len(text)
    return max((cell_len(line) for line in text.split("\n")), default=0)


def _heading(name: str) -> Text:
    return Text(_printable(name.replace("_", " ")))


def _cell(value: object) -> Text:
    return Text(_printable(_shown(value)))


def _shown(value: object) -> str:
    match value:
        case None:
            shown = ""
        case bool():
            shown = "yes" if value else "no"
        case Enum():
            shown = str(value.value)
        case datetime():
            shown = value.isoformat(sep=" ", timespec="seconds")
        case list() | tuple() | set() | frozenset():
            shown = ", ".join(_shown(item) for item in value)
        case dict():
            shown = msgspec.json.encode(value, enc_hook=_plain).decode()
        case _:
            shown = str(value)
    return shown


def _printable(text: str) -> str:
    # Names come from other people: an escape sequence in one must not reach the terminal.
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}"
        for char in text.replace("\t", " ")
    )
