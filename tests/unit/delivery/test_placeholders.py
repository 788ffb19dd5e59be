from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adctl.delivery.placeholders import is_placeholder

NOTHING = (
    *(
        "",
        " ",
        "\t",
        "\u00a0",
        "-",
        "--",
        "_",
        "0",
        "00",
        "000-000",
        "0.0",
        "?",
        "N/A",
        "n.a.",
        "NaN",
    ),
    *("undefined", "Undefined", "UNDEFINED", "null", "(null)", "<null>", "None", "nil", "unknown"),
    *("(not set)", "[object Object]", "false", "anonymous", "ORDER-undefined", "shop_null"),
    *("{order_id}", "{{order_id}}", "{{ order.id }}", "{% order %}", "${ORDER}", "#{id}", "$(id)"),
    *("%%ORDER_ID%%", "%ORDER_ID%", "[ORDER_ID]", "[[order]]", "<order-id>", "<%= id %>", "@@ID@@"),
    *(
        "__ORDER_ID__",
        "##ORDER##",
        "$ORDER$",
        "{param1}",
        "A-{order_id}",
        "{{order",
        "[Order Number]",
    ),
    *("00000000-0000-0000-0000-000000000000", "xxx", "XXXX-XXXX", "ffffffff", "11111111", "aa"),
)
IDS = (
    *(
        "A17",
        "1",
        "7",
        "11",
        "7777",
        "10",
        "100",
        "A-17",
        "a",
        "A 17",
        "Größe-17",
        "注文-17",
        "#17",
    ),
    *(
        "[A-1017]",
        "{3F2504E0-4F89-11D3-9A0C-0305E82C3301}",
        "5f0d7ab041cb5aaf",
        "A%26B",
        "50% off 2",
    ),
    *("00017", "1000000", "6D92078A-8246-4BA4-AE5B-76104861E7DC", "nullable7", "none-such-17"),
)


@pytest.mark.parametrize("text", NOTHING)
def test_what_says_that_there_is_no_id_is_none(text: str) -> None:
    assert is_placeholder(text)


@pytest.mark.parametrize("text", IDS)
def test_id_that_somebody_gave_is_one(text: str) -> None:
    assert not is_placeholder(text)


@given(st.sampled_from(NOTHING), st.sampled_from(["", " ", "\n"]), st.booleans(), st.booleans())
def test_blanks_capitals_and_encoding_change_nothing(
    text: str, blanks: str, capitals: bool, encoded: bool
) -> None:
    told = f"{blanks}{text.upper() if capitals else text}{blanks}"
    assert is_placeholder(quote(told) if encoded else told)


@given(st.integers(1, 10**7 - 1))
def test_number_that_is_counted_up_is_an_id(number: int) -> None:
    assert not is_placeholder(str(number))


@given(st.uuids())
def test_drawn_id_is_one(drawn: object) -> None:
    assert not is_placeholder(str(drawn))


@given(st.text(max_size=300) | st.text("{[%<$#@_a", max_size=300))
def test_no_text_is_an_error(text: str) -> None:
    assert is_placeholder(text) in (True, False)
