"""Mappings that are changed by making the next one, at the price of a small part of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

V = TypeVar("V")

# As many entries as are copied in little more time than it takes to find them.
_ENTRIES_A_PAGE = 64
_MAX_PAGES = 2048


class Pages(Generic[V]):
    """An immutable mapping from integers, in small pages of which a change copies one.

    A reader that holds one keeps a consistent picture while its successors are made.
    """

    __slots__ = ("_count", "_mask", "_pages")

    def __init__(self, pages: list[dict[int, V]], count: int) -> None:
        self._pages = pages
        self._mask = len(pages) - 1
        self._count = count

    @classmethod
    def build(cls, entries: Mapping[int, V]) -> Self:
        """Return a mapping of ``entries``, which is not kept."""
        wanted = min(len(entries) // _ENTRIES_A_PAGE, _MAX_PAGES - 1)
        pages: list[dict[int, V]] = [{} for _ in range(1 << wanted.bit_length())]
        mask = len(pages) - 1
        for key, value in entries.items():
            pages[key & mask][key] = value
        return cls(pages, len(entries))

    def __len__(self) -> int:
        return self._count

    def get(self, key: int) -> V | None:
        """Return the value of ``key``, None if there is none."""
        return self._pages[key & self._mask].get(key)

    def values(self) -> Iterator[V]:
        """Yield every value, in no order."""
        for page in self._pages:
            yield from page.values()

    def replaced(self, key: int, value: V | None) -> Self:
        """Return a mapping with another value for ``key``; without it if that is None."""
        number = key & self._mask
        page = dict(self._pages[number])
        before = len(page)
        if value is None:
            page.pop(key, None)
        else:
            page[key] = value
        pages = self._pages.copy()
        pages[number] = page
        return type(self)(pages, self._count + len(page) - before)
