"""Files of fields that options name: TOML, or JSON."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import msgspec

from adctl.control.fields import MAX_LEVELS, nests_too_deeply
from adctl.errors import Fault, FaultyInputError
from adctl.text_files import decode_text

if TYPE_CHECKING:
    from pathlib import Path

# Lists of domains and apps are long.
_MAX_BYTES = 16 << 20


def load_table_file(path: Path, option: str, subject: str) -> dict[str, object]:
    """Return the table in ``path``: JSON if its name ends in .json, else TOML.

    Raises FaultyInputError about ``option`` if it cannot be read as such. The fields are not
    validated yet.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise FaultyInputError(subject, [Fault(option, str(path), "at most 16 MiB")])
        if path.suffix.lower() == ".json":
            fields = msgspec.json.decode(decode_text(content))
        else:
            fields = tomllib.loads(decode_text(content))
    except OSError as exc:
        fault = Fault(option, str(path), f"a readable file ({exc.strerror})")
        raise FaultyInputError(subject, [fault]) from exc
    except (ValueError, RecursionError) as exc:
        fault = Fault(option, str(path), f"TOML, or JSON in a .json file ({exc})")
        raise FaultyInputError(subject, [fault]) from exc
    if not isinstance(fields, dict):
        raise FaultyInputError(subject, [Fault(option, str(path), "a table of fields")])
    if nests_too_deeply(fields):
        expected = f"tables and lists in each other at most {MAX_LEVELS} times"
        raise FaultyInputError(subject, [Fault(option, str(path), expected)])
    return fields
