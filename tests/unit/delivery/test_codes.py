from __future__ import annotations

import pytest

from adctl.delivery.codes import COUNTRY_NAMES, normal_country


@pytest.mark.parametrize("text", ["DEU", "DE", "de", "deu", " De ", "276", "\tDEU\n"])
def test_a_country_has_one_code(text: str) -> None:
    assert normal_country(text) == "DEU"


@pytest.mark.parametrize(
    ("text", "code"), [("UK", "GBR"), ("036", "AUS"), ("36", "AUS"), ("xk", "XKX"), ("840", "USA")]
)
def test_codes_that_people_write_are_read(text: str, code: str) -> None:
    assert normal_country(text) == code


@pytest.mark.parametrize("text", [None, "", "ZZ", "XXX", "0", "---", "Germany", "US" * 50])
def test_what_is_no_code_of_a_country_is_none(text: str | None) -> None:
    assert normal_country(text) == ""


def test_every_country_s_code_is_its_own() -> None:
    assert all(normal_country(code) == code for code in COUNTRY_NAMES)
    assert len(COUNTRY_NAMES) == 250
    assert not any(char.isdigit() for name in COUNTRY_NAMES.values() for char in name)
