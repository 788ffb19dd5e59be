from __future__ import annotations

import pytest

from adctl.control.fields import (
    MAX_FAULTS,
    MAX_FAULTS_OF_A_LIST,
    FieldReader,
    near,
    nests_too_deeply,
    split_url,
)
from adctl.errors import FaultyInputError


def faults(reader: FieldReader) -> list[tuple[str, str]]:
    return [(fault.field, fault.expected) for fault in reader.faults]


@pytest.mark.parametrize(
    "value",
    [
        "",
        "abc",
        "1e3",
        "1_000",
        "١٢",
        "NaN",
        "Infinity",
        "+5",
        " 5",
        "0.0000000001",
        5,
        5.0,
        True,
        [],
    ],
)
def test_what_is_no_amount_is_refused(value: object) -> None:
    reader = FieldReader({"budget": value})
    assert reader.nanos("budget") is None
    assert [fault.field for fault in reader.faults] == ["budget"]


@pytest.mark.parametrize("value", ["0", "-1", "-0.5"])
def test_amount_has_to_be_above_0(value: str) -> None:
    reader = FieldReader({"budget": value})
    assert reader.nanos("budget") is None
    assert faults(reader) == [("budget", "an amount above 0")]


def test_amount_is_exact() -> None:
    assert FieldReader({"budget": "0.000000001"}).nanos("budget") == 1
    assert FieldReader({"bid": "2.35"}).micros("bid") == 2_350_000


@pytest.mark.parametrize("value", ["", "  ", "a\nb", "a\0", "\ud800", "x" * 201, 5])
def test_unprintable_empty_or_long_name_is_refused(value: object) -> None:
    reader = FieldReader({"name": value})
    assert reader.text("name", required=True) is None
    assert len(reader.faults) == 1


def test_blanks_around_a_name_go() -> None:
    assert FieldReader({"name": "  Spring "}).text("name") == "Spring"


@pytest.mark.parametrize(
    "url",
    [
        "acme.example",
        "//acme.example/",
        "ftp://acme.example",
        "javascript:alert(1)",
        "http://",
        "https://a b.example",
        'https://acme.example/"onload=',
        "https://user:pw@acme.example",
        "https://acme.example:99999/",
        "https://acme.example:0/",
        "https://-acme.example",
        "https://acme.example/" + "x" * 2048,
        "https://[::1",
        "https://acme.example/é",
        "",
    ],
)
def test_what_is_no_absolute_http_address_is_refused(url: str) -> None:
    assert split_url(url) is None


@pytest.mark.parametrize("url", ["http://acme.example", "https://a.b.example:8443/x?y=%7Bz#w"])
def test_http_addresses_are_taken(url: str) -> None:
    assert split_url(url) is not None


def test_long_values_are_cut_in_faults() -> None:
    reader = FieldReader({"x" * 3: "y" * 10_000, "n": 10**200})
    reader.only(())
    assert all(len(str(fault.value)) < 100 for fault in reader.faults)


def test_close_name_is_suggested() -> None:
    assert near("moble", ["mobile", "tv"]) == "; did you mean mobile?"
    assert near("zzz", ["mobile", "tv"]) == ""


def test_unknown_fields_are_named_a_few_and_counted() -> None:
    reader = FieldReader({f"x{n}": 0 for n in range(20_000)})
    reader.only(("budget",))
    assert [fault.field for fault in reader.faults] == ["x0", "x1", "x2", "x3", "x4", ""]
    assert reader.faults[-1].value == "19,995 more unknown fields"


def test_faults_of_a_long_list_are_counted_and_their_texts_never_made() -> None:
    reader, made = FieldReader({"countries": [f"{n}" for n in range(9000)]}), []

    def expected(text: str) -> str:
        made.append(text)
        return "a country"

    reader.texts("countries", lambda _: None, expected)
    assert len(reader.faults) - 1 == len(made) == MAX_FAULTS_OF_A_LIST
    assert reader.faults[-1].value == "8,980 more of 9,000 items"


def test_faults_beyond_those_told_are_counted_those_of_inner_tables_with_the_others() -> None:
    reader = FieldReader({"a": {"b": list(range(60))}, "c": list(range(60)), "d": [0, 1] * 30})
    inner = reader.nested("a")
    assert inner is not None
    inner.texts("b", str, "a text")
    reader.texts("c", str, "a text")
    reader.texts("d", str, "a text")
    more = 3 * (MAX_FAULTS_OF_A_LIST + 1) - MAX_FAULTS
    assert (len(reader.faults), reader.faults.more) == (MAX_FAULTS, more)
    with pytest.raises(FaultyInputError, match=f"{more} more faults"):
        reader.raise_faults("it")


@pytest.mark.parametrize(
    "value",
    [10**200, 1 << 100_000, [1 << 100_000], ["x" * 10_000] * 1000, {"x" * 10_000: {}}, "é" * 500],
    ids=["digits", "more digits", "digits in a list", "a list", "a table", "a text"],
)
def test_any_value_is_told_in_few_characters(value: object) -> None:
    reader = FieldReader({})
    reader.reject("x" * 500, value, "less")
    [fault] = reader.faults
    assert len(str(fault)) < 250


def test_value_nested_as_deeply_as_it_may_be_can_be_told() -> None:
    deep: object = 1
    for _ in range(5000):
        deep = [deep]
    reader = FieldReader({"a": deep})
    reader.reject("a", deep, "less")
    assert nests_too_deeply(reader.values)
    assert not nests_too_deeply({"a": [{"b": [1]}]})
