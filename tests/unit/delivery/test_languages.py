from __future__ import annotations

import pytest

from adctl.delivery.codes import LANGUAGES
from adctl.delivery.languages import normal_language


@pytest.mark.parametrize(
    ("text", "code"),
    [
        *(("en", "en"), ("EN-us", "en"), ("pt_BR", "pt"), ("zh-Hant-TW", "zh"), (" de ", "de")),
        *(("iw", "he"), ("iw-IL", "he"), ("in", "id"), ("ji", "yi"), ("jw", "jv"), ("mo", "ro")),
        *(("no", "nb"), ("nb-NO", "nb"), ("nn", "nn"), ("sh", "sr"), ("fil-PH", "tl")),
        *(("eng", "en"), ("ger", "de"), ("deu", "de"), ("cmn-Hans", "zh"), ("nor", "nb")),
        *(("en-US,en;q=0.9", "en"), ("en_US.UTF-8", "en"), ("yue-HK", "yue")),
    ],
)
def test_a_language_has_one_code(text: str, code: str) -> None:
    assert normal_language(text) == code


@pytest.mark.parametrize(
    "text", [None, "", "english", "xx", "und", "mul", "-", "e", "*", "x" * 999]
)
def test_what_names_no_language_is_none(text: str | None) -> None:
    assert normal_language(text) == ""


def test_every_language_s_code_is_its_own_or_that_of_another() -> None:
    normal = {normal_language(code) for code in LANGUAGES}
    assert normal <= LANGUAGES
    assert all(normal_language(code) == code for code in normal)
