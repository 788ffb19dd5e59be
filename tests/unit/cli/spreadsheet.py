"""A CSV as spreadsheets read it: which of its cells would be run as formulas."""

from __future__ import annotations

import csv
import io
import re

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_RUNS = tuple("=+-@\uff1d\uff0b\uff0d\uff20")
# Where a cell can begin: some split at semicolons or tabs, and then mind no quotes.
_SEPARATORS = re.compile("[;\t\r\n]")
_BLANKS = re.compile('[\\s"\\x00-\\x1f\\x7f-\\x9f\\ufeff]+')


def cells_that_run(text: str) -> list[str]:
    """Return the cells of ``text`` that are formulas to a spreadsheet, whatever it splits at."""
    rows = _quoted_fields(text)
    pieces = [piece for cell in rows for piece in _SEPARATORS.split(cell)]
    found = [piece for piece in pieces if _BLANKS.sub("", piece[:40]).startswith(_RUNS)]
    return [cell for cell in rows if cell[:1] in ("\0", "\t", "\r", "\n")] + [
        piece for piece in found if not _NUMBER.fullmatch(piece)
    ]


def _quoted_fields(text: str) -> list[str]:
    return [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]
