from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adctl.delivery.consent.bits import MAX_CHARS, Bitfield, BitReader, Ranges, UndecodableError
from tests.unit.delivery.consent.encoding import base64url, fibonacci, number


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(0)), max_size=30))
def test_what_is_written_is_read(drawn: list[tuple[int, int]]) -> None:
    fields = [(width, value % (1 << width)) for width, value in drawn]
    reader = BitReader("A" + base64url("".join(number(value, width) for width, value in fields)))
    assert reader.take(6) == 0
    assert [reader.take(width) for width, _ in fields] == [value for _, value in fields]
    reader.end()


def test_reading_past_the_end_is_refused() -> None:
    reader = BitReader("AB")
    assert reader.take(12) == 1
    with pytest.raises(UndecodableError, match="truncated"):
        reader.take(1)


@pytest.mark.parametrize(
    "text", ["", "A=", "A+", "A/", "A A", "Ä", "A\n", "A.B", "A" * 8193, "\ud800"]
)
def test_what_is_no_base64url_is_refused(text: str) -> None:
    with pytest.raises(UndecodableError):
        BitReader(text)


def test_longest_text_is_read() -> None:
    assert BitReader("_" * MAX_CHARS).take(6 * MAX_CHARS).bit_count() == 6 * MAX_CHARS


@given(st.integers(1, 900))
def test_fibonacci_codes_are_read(value: int) -> None:
    assert BitReader(base64url(fibonacci(value))).take_fibonacci() == value


def test_fibonacci_code_without_an_end_is_refused() -> None:
    with pytest.raises(UndecodableError):
        BitReader("A" * 100).take_fibonacci()


@pytest.mark.parametrize("pair", [(0, 0), (0, 5), (7, 6), (1, 11)])
def test_range_out_of_bounds_is_refused(pair: tuple[int, int]) -> None:
    first, last = pair
    reader = BitReader(base64url(number(1, 12) + "1" + number(first, 16) + number(last, 16)))
    with pytest.raises(UndecodableError, match="bounds"):
        reader.take_ranges(highest=10)


def test_set_has_its_numbers_and_no_others() -> None:
    bitfield = Bitfield(5, 0b10010)
    assert [number for number in range(-3, 9) if number in bitfield] == [1, 4]
    ranges = Ranges(((2, 2), (5, 7)))
    assert [number for number in range(-3, 9) if number in ranges] == [2, 5, 6, 7]


@pytest.mark.parametrize("letters", [(26, 0), (0, 63)])
def test_code_of_other_than_letters_is_refused(letters: tuple[int, int]) -> None:
    with pytest.raises(UndecodableError):
        BitReader(base64url("".join(number(letter, 6) for letter in letters))).take_letters()
