from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from adctl.delivery.bitmaps import Choices, bits_at, positions, words_of

places = st.sets(st.integers(0, 1000)).map(sorted)
named = st.lists(st.sets(st.sampled_from("abcde")), max_size=80)


def build_choices(named: list[set[str]]) -> Choices[str]:
    open_to_all = bits_at([at for at, values in enumerate(named) if not values])
    found = {value: bits_at([n for n, v in enumerate(named) if value in v]) for value in "abcde"}
    return Choices({value: bits for value, bits in found.items() if bits}, open_to_all)


@given(places)
def test_positions_are_the_bits_that_were_set(at: list[int]) -> None:
    assert list(positions(bits_at(at))) == at


@given(places)
def test_words_hold_64_positions_each_the_lowest_first(at: list[int]) -> None:
    words = words_of(bits_at(at))
    assert [n for n in range(len(words) * 64) if words[n // 64] >> n % 64 & 1] == at


def test_nothing_has_no_positions() -> None:
    assert list(positions(0)) == []


def test_a_bit_far_out_is_found() -> None:
    assert list(positions(1 << 100_000 | 1)) == [0, 100_000]


@given(named, st.sampled_from("abcdef"))
def test_a_value_is_taken_by_those_that_name_it_and_those_that_name_none(
    named: list[set[str]], value: str
) -> None:
    choices = build_choices(named)
    expected = [at for at, values in enumerate(named) if not values or value in values]
    assert list(positions(choices.taking(value))) == expected
    assert list(positions(choices.taking(value))) == expected  # asked again, from memory
    assert list(positions(choices.taking_any([value]))) == expected


@given(named)
def test_an_unknown_value_is_taken_by_those_that_name_none(named: list[set[str]]) -> None:
    expected = [at for at, values in enumerate(named) if not values]
    assert list(positions(build_choices(named).taking_any([]))) == expected


@given(named, st.data())
def test_replacing_one_is_as_building_anew(named: list[set[str]], data: st.DataObject) -> None:
    choices = build_choices(named)
    choices.taking("a")
    at = data.draw(st.integers(0, len(named)))
    before = named[at] if at < len(named) else None
    after = data.draw(st.none() | st.sets(st.sampled_from("abcde")))
    replaced = choices.replaced(1 << at, before, after)
    anew = [*named, *[None] * (at == len(named))]
    anew[at] = after
    for value in "abcde":
        expected = [
            place
            for place, values in enumerate(anew)
            if values is not None and (not values or value in values)
        ]
        assert list(positions(replaced.taking(value))) == expected
    assert set(replaced.values) == set().union(*(values or () for values in anew))
    for value in "abcde":  # and who reads the old one meanwhile sees no change
        expected = [place for place, values in enumerate(named) if not values or value in values]
        assert list(positions(choices.taking(value))) == expected


@given(named, st.data())
def test_replacing_values_by_the_same_is_no_change(
    named: list[set[str]], data: st.DataObject
) -> None:
    named.append(data.draw(st.sets(st.sampled_from("abcde"))))
    choices = build_choices(named)
    assert choices.replaced(1 << len(named) - 1, named[-1], set(named[-1])) is choices
