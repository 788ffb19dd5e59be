from __future__ import annotations

import pytest

from adctl.control.fields import FieldReader, near, normal_domain, split_url


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


def test_domain_is_lower_case_and_ascii() -> None:
    assert normal_domain("BÜCHER.Example.") == "xn--bcher-kva.example"
    assert (
        normal_domain("a..b") is normal_domain("x" * 64 + ".example") is normal_domain("") is None
    )


def test_long_values_are_cut_in_faults() -> None:
    reader = FieldReader({"x" * 3: "y" * 10_000, "n": 10**200})
    reader.only(())
    assert all(len(str(fault.value)) < 100 for fault in reader.faults)


def test_close_name_is_suggested() -> None:
    assert near("moble", ["mobile", "tv"]) == "; did you mean mobile?"
    assert near("zzz", ["mobile", "tv"]) == ""
