"""JSON merge patch (RFC 7396): how an update says what changes and what is taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def merge(fields: Mapping[str, object], patch: Mapping[str, object]) -> dict[str, object]:
    """Return ``fields`` with ``patch`` over them: null removes, tables merge, all else replaces."""
    merged = dict(fields)
    for name, value in patch.items():
        below = merged.get(name)
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict) and isinstance(below, dict):
            merged[name] = merge(below, value)
        else:
            merged[name] = value
    return merged
