from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from adctl.delivery.pages import Pages

if TYPE_CHECKING:
    from collections.abc import Mapping

# Enough keys for several pages, and few enough to meet again.
keys = st.integers(-300, 300)
entries = st.dictionaries(keys, st.integers(), max_size=300)


def read(pages: Pages[int]) -> dict[int, int]:
    return {key: value for key in range(-300, 301) if (value := pages.get(key)) is not None}


def holds(pages: Pages[int], expected: Mapping[int, int]) -> bool:
    same = read(pages) == expected and len(pages) == len(expected)
    return same and sorted(pages.values()) == sorted(expected.values())


@given(entries)
def test_it_holds_what_it_was_built_from(entries: dict[int, int]) -> None:
    assert holds(Pages.build(entries), entries)


@given(entries, st.lists(st.tuples(keys, st.none() | st.integers()), max_size=30))
def test_a_change_is_in_the_next_one_only(
    entries: dict[int, int], changes: list[tuple[int, int | None]]
) -> None:
    pages = Pages.build(entries)
    for key, value in changes:
        before, known = pages, dict(entries)
        pages = pages.replaced(key, value)
        if value is None:
            entries.pop(key, None)
        else:
            entries[key] = value
        assert holds(pages, entries)
        assert holds(before, known)
