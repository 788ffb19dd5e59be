from __future__ import annotations

import base64
import hashlib
from random import Random
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adctl.delivery.placeholders import is_no_id, is_placeholder

NOTHING = (
    *(
        "",
        " ",
        "\t",
        "\u00a0",
        "\u200b\u2060\ufeff",
        "\x00\x01",
        "-",
        "--",
        "_",
        "0",
        "00",
        "000-000",
        "0.0",
        "0x00000000",
        "00:00:00:00:00:00",
        "\uff10\uff10",
        "?",
        "N/A",
        "n.a.",
        "NaN",
    ),
    *("undefined", "Undefined", "UNDEFINED", "null", "(null)", "<null>", "None", "nil", "unknown"),
    *(
        "\ufeffnull",
        "nu\u00adll",
        "'undefined'",
        '"null"',
        "[null]",
        "not_set",
        "opt-out",
        "OPTOUT",
    ),
    *("(not set)", "[object Object]", "false", "anonymous", "ORDER-undefined", "shop_null"),
    *("{order_id}", "{{order_id}}", "{{ order.id }}", "{% order %}", "${ORDER}", "#{id}", "$(id)"),
    *("%%ORDER_ID%%", "%ORDER_ID%", "[ORDER_ID]", "[[order]]", "<order-id>", "<%= id %>", "@@ID@@"),
    *(
        "__ORDER_ID__",
        "##ORDER##",
        "$ORDER$",
        "{param1}",
        "{aff_sub2_x}",
        "A-{order_id}",
        "Shop 7: [Order Number] (new)",
        "{{order",
        "[Order Number]",
        "%s",
        "%1$s",
        "USER_ID",
        "order_id",
        "user-id",
        "(UID)",
        "&lt;uid&gt;",
        "ANONYMOUS_USER",
        "{0}",
        "$id",
        "*|ID|*",
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
        "%E6%B3%A8%E6%96%87-17",
        "%C3%A9-17",
    ),
    *(
        "00017",
        "1000000",
        "6D92078A-8246-4BA4-AE5B-76104861E7DC",
        "nullable7",
        "Order",
        "user-1",
        "x7_id",
        "A_1_ID",
        "none-such-17",
    ),
    *("@reader", "$RCAnonymousID:87c6049c58069238dce29853916d624c", "a.reader@news.example"),
    *("AbCdEf-nan-GhIjKl", "aB3_null-x9Zt", "QmFuYW5h", "00000000-0000-0000-0000-000000000001"),
)
STYLES = (
    *("${X}", "%%X%%", "[X]", "{X}", "{{X}}", "__X__", "@X@", "#X#", "<X>", "%X%", "$X", "$X$"),
    *(
        "[[X]]",
        "{{ X }}",
        "{%X%}",
        "[%X%]",
        "##X##",
        "@@X@@",
        "<%= X %>",
        "{$X}",
        "*X*",
        "~X~",
        "|X|",
    ),
)
# %DE, %AD and %CA are bytes, too.
NAMES = (
    "USER_ID",
    "user.id",
    "IFA",
    "DEVICE_ID",
    "ADVERTISING_ID",
    "CACHEBUSTER",
    "Idfa",
    "sub_id1",
)


@pytest.mark.parametrize("text", NOTHING)
def test_what_says_that_there_is_no_id_is_none(text: str) -> None:
    assert is_placeholder(text)


@pytest.mark.parametrize("text", IDS)
def test_id_that_somebody_gave_is_one(text: str) -> None:
    assert not is_placeholder(text)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("style", STYLES)
def test_macro_that_nobody_filled_in_is_none_however_often_it_was_encoded(
    style: str, name: str
) -> None:
    text = style.replace("X", name)
    assert is_placeholder(text)
    assert is_placeholder(quote(text, safe=""))
    assert is_placeholder(quote(quote(text, safe=""), safe=""))


@given(st.sampled_from(NOTHING), st.sampled_from(["", " ", "\n"]), st.booleans(), st.booleans())
def test_blanks_capitals_and_encoding_change_nothing(
    text: str, blanks: str, capitals: bool, encoded: bool
) -> None:
    told = f"{blanks}{text.upper() if capitals else text}{blanks}"
    assert is_placeholder(quote(told) if encoded else told)


@given(st.sampled_from("0aAfFxX*-#"), st.integers(8, 2000))
def test_one_character_again_and_again_is_none(one: str, times: int) -> None:
    assert is_placeholder(one * times)


@given(st.integers(1, 10**7 - 1))
def test_number_that_is_counted_up_is_an_id(number: int) -> None:
    assert not is_no_id(str(number))


@pytest.mark.parametrize("text", ["-1", "USER", "ORDER"])
def test_what_is_no_id_may_yet_say_something(text: str) -> None:
    assert is_no_id(text)
    assert not is_placeholder(text)


_BYTES = st.binary(min_size=8, max_size=40).filter(lambda drawn: len(set(drawn)) > 3)


@given(st.uuids(), st.sampled_from(["{}", "{{{}}}", "urn:uuid:{}"]), st.booleans())
def test_drawn_uuid_is_an_id(drawn: object, written: str, capitals: bool) -> None:
    text = written.format(str(drawn).upper() if capitals else drawn)
    assert not is_no_id(text)


@given(_BYTES)
@example(base64.urlsafe_b64decode("AAAA-nan-AAAA-NaN_null=="))
def test_drawn_bytes_are_an_id_however_they_are_written(drawn: bytes) -> None:
    for text in (
        drawn.hex(),
        drawn.hex().upper(),
        base64.b64encode(drawn).decode(),
        base64.urlsafe_b64encode(drawn).decode(),
        base64.b32encode(drawn).decode(),
        str(int.from_bytes(drawn)),
    ):
        assert not is_no_id(text)


def test_of_random_characters_that_macros_have_few_are_taken_for_one() -> None:
    random = Random(17)
    ids = [base64.b85encode(random.randbytes(32)).decode() for _ in range(20_000)]
    assert sum(map(is_no_id, ids)) < 20_000 / 1000


@given(st.emails(), st.sampled_from(["md5", "sha1", "sha256"]))
def test_address_and_its_hash_are_ids(address: str, method: str) -> None:
    assert not is_no_id(hashlib.new(method, address.encode()).hexdigest())


@given(st.text(max_size=700) | st.text("{[%<$#@_a1.", max_size=700))
def test_no_text_is_an_error(text: str) -> None:
    assert is_placeholder(text) in (True, False)
