from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adctl.delivery.user_ids import earlier_forms, of_source, read_user_id

if TYPE_CHECKING:
    from uuid import UUID

IFA = "6d92078a-8246-4ba4-ae5b-76104861e7dc"
_SAME = (
    IFA,
    IFA.upper(),
    "6D92078A-8246-4ba4-ae5b-76104861e7dc",
    f" {IFA}\n",
    f"\ufeff{IFA}",
    f"{{{IFA.upper()}}}",
    f"urn:uuid:{IFA}",
    IFA.replace("-", ""),
    IFA.replace("-", "").upper(),
)


@pytest.mark.parametrize("told", _SAME)
def test_uuid_is_one_id_however_it_is_written(told: str) -> None:
    assert read_user_id(told) == IFA


@pytest.mark.parametrize("told", _SAME)
def test_uuid_of_a_source_is_one_id_however_it_is_written(told: str) -> None:
    assert of_source(" Shared.Example. ", told) == f"shared.example:{IFA}"
    assert read_user_id(f"SHARED.example:{told}") == f"shared.example:{IFA}"


@given(st.uuids(version=4))
def test_every_advertising_id_is_one_in_all_its_forms(drawn: UUID) -> None:
    forms = {str(drawn), str(drawn).upper(), drawn.hex, drawn.hex.upper(), f"{{{drawn}}}"}
    assert {read_user_id(form) for form in forms} == {str(drawn)}


@pytest.mark.parametrize(
    "told",
    [
        "someone",
        "Someone",
        "17",
        "2269828760903472551",
        "CAESEFnNaoRZHtCyTkTzR8kL3Ek",
        "55816b39711f9b5acf3b90e313ed29e51665623f",
        "AA000DFE74168477C70D291F574D344790E0BB11",
        # An MD5, whose version and variant are not a UUID's.
        "D41D8CD98F00B204E9800998ECF8427E",
        "zxcjbzxmc-zxcbmz-zxbcz-zxczx",
        "a reader@news.example",
        "reader:17",
        "Größe",
        "e" * 5000 + "n",
        "__abcD3-nan-xY9Zt__",
    ],
)
def test_other_ids_are_as_they_came(told: str) -> None:
    assert read_user_id(told) == told


@pytest.mark.parametrize(
    "told",
    [
        *("", " ", "\u200b", "0", "-1", " -1 ", "null", "undefined", "unknown", "${USER_ID}", "%s"),
        *(
            "00000000-0000-0000-0000-000000000000",
            "0" * 32,
            "{00000000-0000-0000-0000-000000000000}",
        ),
        *("11111111-1111-1111-1111-111111111111", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF"),
        *("a\x00b", "reader\x1b[31m", "\x7f" * 16),
        *("uidapi.com:null", "uidapi.com:", "uidapi.com:0", "uidapi.com:-1", "uidapi.com: "),
    ],
)
def test_what_says_that_there_is_none_is_no_users_id(told: str) -> None:
    assert read_user_id(told) == ""


@given(st.text(max_size=80) | st.from_regex(r"[a-c.]{0,5}:?\{?[0-9A-Fa-f-]{32,36}\}?"))
def test_reading_what_was_read_changes_nothing(told: str) -> None:
    known = read_user_id(told)
    assert read_user_id(known) == known


def test_users_of_two_sources_are_two() -> None:
    assert (
        len({read_user_id("17"), of_source("a.example", "17"), of_source("b.example", "17")}) == 3
    )


def test_source_that_is_nobody_knows_nobody() -> None:
    assert of_source("null", "17") == of_source(" ", "17") == ""


def test_user_was_known_before_as_the_id_came() -> None:
    bare = IFA.replace("-", "")
    assert earlier_forms(IFA, IFA) == [IFA.upper(), bare, bare.upper()]
    assert f"{{{IFA}}}" in earlier_forms(IFA, f"{{{IFA}}}")
    assert earlier_forms("someone", " someone ") == [" someone "]
    assert earlier_forms("someone", "someone") == []
