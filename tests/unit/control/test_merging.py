from __future__ import annotations

from adctl.control.merging import merge


def test_null_removes_tables_merge_and_the_rest_replaces() -> None:
    fields = {"a": 1, "b": {"c": [1], "d": 2}, "e": 3}
    patch = {"a": None, "b": {"c": [2], "d": None}, "f": 4}
    assert merge(fields, patch) == {"b": {"c": [2]}, "e": 3, "f": 4}


def test_neither_side_is_changed() -> None:
    fields: dict[str, object] = {"b": {"c": 1}}
    merge(fields, {"b": {"c": None}})
    assert fields == {"b": {"c": 1}}
