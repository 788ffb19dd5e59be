"""What stands in the cells of a CSV: nothing that a spreadsheet would run.

Names, sites and messages are other people's. A spreadsheet takes a cell that begins with one of
``= + - @`` for a formula, also behind blanks or quotes, and OWASP (CSV Injection; ASVS 1.2.10) adds
tab, CR, LF, NUL and the full-width forms. One that splits at semicolons or tabs, as some do by
their locale, takes what follows those, or a line's end, for a cell too.
"""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

# Columns of amounts that may be negative. They are ours: nobody else's text stands in them.
_AMOUNTS = frozenset(
    (
        *("amount", "balance", "opening", "closing", "total", "payable"),
        *("budget", "spent", "reserved", "available", "late", "exposed", "cut"),
        *("day_budget", "day_spent", "day_available", "ledger_spent", "not_flushed"),
        *("spend", "late_spend", "unpriced_spend", "fee", "value", "cost", "booked"),
        *("expected", "found"),
    )
)
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_IGNORED = "[\\s\"'\\x00-\\x1f\\x7f-\\x9f\\u200b-\\u200f\\u2060\\ufeff]*"
_BEGINS = "[=+\\-@\\uff1d\\uff0b\\uff0d\\uff20]"
_RUN = re.compile(f"(?:^|(?<=[;\\t\\r\\n]))(?={_IGNORED}{_BEGINS})|^(?=[\\0\\t\\r\\n])")


def csv_text(names: Sequence[str], rows: Iterable[Mapping[str, object]]) -> str:
    """Return the CSV of ``rows``, their ``names`` first; a line ends with LF."""
    return _line(names) + "".join(
        _line([csv_cell(name, row.get(name)) for name in names]) for row in rows
    )


def csv_cell(column: str, value: object) -> object:
    """Return the value of a cell as a CSV holds it.

    Numbers stay numbers. In text, an apostrophe stands before whatever a spreadsheet would run:
    whoever wants the text exact takes JSON.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, Decimal):
        return format(value, "f")
    text = _text(value)
    if isinstance(value, float) or (column in _AMOUNTS and _NUMBER.fullmatch(text)):
        return text
    return harmless(text)


def harmless(text: str) -> str:
    """Return ``text`` with an apostrophe before whatever a spreadsheet would run as a formula."""
    return _RUN.sub("'", text)


def _line(cells: Sequence[object]) -> str:
    line = io.StringIO()
    # So that a CR, which many take for a line's end, is quoted as an LF is.
    csv.writer(line, lineterminator="\r\n").writerow(cells)
    return line.getvalue().removesuffix("\r\n") + "\n"


def _text(value: object) -> str:
    built = value if isinstance(value, str) else msgspec.to_builtins(value, enc_hook=_plain)
    return built if isinstance(built, str) else msgspec.json.encode(built).decode()


def _plain(value: Any) -> object:
    return str(value)
