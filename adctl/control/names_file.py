"""Files of domains or apps: one a line, or a column of a table."""

from __future__ import annotations

import csv
from collections.abc import Callable  # a tuple's field, read at run time
from typing import TYPE_CHECKING, NamedTuple

from adctl.control.fields import MAX_FAULTS_OF_A_LIST
from adctl.control.targeting_input import (
    APP_EXPECTED,
    MAX_NAMES,
    SITE_EXPECTED,
    a_site,
    an_app,
)
from adctl.errors import Fault, FaultyInputError
from adctl.text_files import decode_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_MAX_BYTES = 64 << 20
_TABLES = (".csv", ".tsv", ".tab")
_DELIMITERS = ",;\t|"


class NameKind(NamedTuple):
    """What a file is of: ``normal`` returns a name's one spelling, or None for what is none.

    ``headings`` are what tables call the column.
    """

    normal: Callable[[str], str | None]
    expected: str
    headings: frozenset[str]


SITES = NameKind(
    a_site,
    SITE_EXPECTED,
    frozenset(
        (
            *("domain", "domains", "domain name", "site", "sites", "site domain", "website"),
            *("websites", "url", "urls", "host", "hostname", "publisher domain"),
        )
    ),
)
APPS = NameKind(
    an_app,
    APP_EXPECTED,
    frozenset(
        (
            *("app", "apps", "app id", "appid", "bundle", "bundles", "bundle id", "bundleid"),
            *("app bundle", "package", "package name", "store id", "store url", "app store url"),
        )
    ),
)


def load_names(path: Path, option: str, kind: NameKind) -> list[str]:
    """Return the names in a file, each in its one spelling, repetitions included.

    A text file has one a line; what begins with ``#`` is a comment. A table (.csv, .tsv) has them
    in the column whose heading says so, else in its first. Raises FaultyInputError about
    ``option`` with the first lines that are wrong and the number of the others.
    """
    text = _text(path, option)
    rows = _cells(text, path, kind) if path.suffix.lower() in _TABLES else _lines(text, kind)
    names: list[str] = []
    wrong: list[tuple[int, str]] = []
    try:
        for number, told in rows:
            name = kind.normal(told)
            if name is None:
                wrong.append((number, told))
            else:
                names.append(name)
    except csv.Error as exc:
        fault = Fault(option, str(path), f"a table of cells ({exc})")
        raise FaultyInputError(f"the list {path}", [fault]) from exc
    faults = [
        Fault(option, f"{path.name}, line {number}: {told[:80]}", kind.expected)
        for number, told in wrong[:MAX_FAULTS_OF_A_LIST]
    ]
    if len(wrong) > MAX_FAULTS_OF_A_LIST:
        more = f"{path.name}, {len(wrong) - MAX_FAULTS_OF_A_LIST:,} more lines"
        faults.append(Fault(option, more, "likewise"))
    if not faults and not names:
        # An empty list would not restrict, which is the opposite of what is asked for.
        faults.append(Fault(option, str(path), "a file with at least one name"))
    if len(names) > MAX_NAMES:
        faults.append(Fault(option, f"{len(names):,} names", f"at most {MAX_NAMES:,}"))
    if faults:
        raise FaultyInputError(f"the list {path}", faults)
    return names


def _text(path: Path, option: str) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            fault = Fault(option, str(path), f"at most {_MAX_BYTES >> 20} MiB")
            raise FaultyInputError(f"the list {path}", [fault])
        return decode_text(content)
    except OSError as exc:
        fault = Fault(option, str(path), f"a readable file ({exc.strerror})")
        raise FaultyInputError(f"the list {path}", [fault]) from exc
    except UnicodeDecodeError as exc:
        fault = Fault(option, str(path), f"text in UTF-8, or UTF-16 with its mark ({exc.reason})")
        raise FaultyInputError(f"the list {path}", [fault]) from exc


def _lines(text: str, kind: NameKind) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), start=1):
        # A fragment of an address has no blank before it.
        told = "" if line.lstrip().startswith("#") else line.split(" #", 1)[0].strip()
        if told and not (number == 1 and _heading(told) in kind.headings):
            yield number, told


def _cells(text: str, path: Path, kind: NameKind) -> Iterator[tuple[int, str]]:
    lines = text.splitlines()
    first = next((line for line in lines if line.strip() and not line.startswith("#")), "")
    # What begins a file that spreadsheets read: sep=;
    told = first[4:5] if first.lower().startswith("sep=") else ""
    delimiter = told or max(_DELIMITERS, key=first.count)
    if path.suffix.lower() != ".csv":
        delimiter = "\t"
    reader = csv.reader(lines, delimiter=delimiter)
    column, begun = 0, False
    for row in reader:
        if not any(map(str.strip, row)) or row[0].lstrip().startswith("#"):
            continue
        if not begun and row[0].lower().startswith("sep="):
            continue
        found = None if begun else _column(row, kind)
        begun = True
        if found is not None:
            column = found
        elif cell := row[column].strip() if column < len(row) else "":
            yield reader.line_num, cell


def _column(row: Sequence[str], kind: NameKind) -> int | None:
    named = [at for at, cell in enumerate(row) if _heading(cell) in kind.headings]
    return named[0] if named else None


def _heading(cell: str) -> str:
    return " ".join(cell.lower().replace("_", " ").replace("-", " ").split())
