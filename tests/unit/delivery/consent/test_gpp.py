from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adctl.delivery.consent import permissions
from adctl.delivery.consent.bits import UndecodableError
from adctl.delivery.consent.gpp import decode_gpp, gpp_permissions
from tests.unit.delivery.consent.encoding import (
    ALPHABET,
    VENDOR,
    base64url,
    consenting,
    encode_gpp,
    encode_tc_string,
    encode_us_section,
    number,
    some,
)

NATIONAL = encode_us_section(1, [0] * 6 + [2] * 3 + [0] * 12 + [0] * 2 + [0] + [2, 0, 0])
OPTED_OUT = encode_us_section(1, [0] * 6 + [2, 1, 2] + [0] * 12 + [0] * 2 + [0] + [2, 0, 0])
CONSENT = encode_tc_string(consenting())


def test_headers_of_the_specification_are_read() -> None:
    assert decode_gpp("DBABM~x") == {2: "x"}
    assert decode_gpp("DBABMA~x") == {2: "x"}
    assert decode_gpp("DBACNY~x~1YNN") == {2: "x", 6: "1YNN"}
    assert decode_gpp("DBABjw~x~1YNN") == {5: "x", 6: "1YNN"}


@given(st.sets(st.integers(1, 60), min_size=1, max_size=20))
def test_what_a_platform_writes_is_read(ids: set[int]) -> None:
    sections = {section: f"section{section}" for section in ids}
    assert decode_gpp(encode_gpp(sections)) == sections


@given(st.text(ALPHABET + ".~=", max_size=60))
def test_random_text_is_read_or_refused(text: str) -> None:
    for whole in (text, "DBA" + text):
        try:
            decode_gpp(whole)
        except UndecodableError:
            continue


@pytest.mark.parametrize(
    "text",
    [
        "",
        "~",
        "DBABM",
        "DBABM~x~y",
        "DBACNY~x",
        "DCABM~x",
        "CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA",
        "DBAA~",
        base64url(number(3, 6) + number(1, 6) + number(0, 12)),
        base64url(number(3, 6) + number(1, 6) + number(1, 12) + "1" + "11" + "00000000000011"),
        "D" * 9000,
    ],
)
def test_header_that_does_not_fit_is_refused(text: str) -> None:
    with pytest.raises(UndecodableError):
        decode_gpp(text)


def test_only_listed_sections_count() -> None:
    text = encode_gpp({6: "1YNN", 7: OPTED_OUT})
    (permitted,) = gpp_permissions(text, (6,), VENDOR)
    assert permitted.identify
    (permitted,) = gpp_permissions(text, (7,), VENDOR)
    assert permitted.reason == permissions.US_OPT_OUT


def test_every_section_counts_where_none_is_listed() -> None:
    permitted = gpp_permissions(encode_gpp({6: "1YNN", 7: OPTED_OUT}), (), VENDOR)
    assert [verdict.identify for verdict in permitted] == [True, False]


def test_no_section_counts_where_none_applies() -> None:
    assert gpp_permissions(encode_gpp({7: OPTED_OUT}), (-1,), VENDOR) == ()


def test_tcf_section_is_judged_as_a_tc_string() -> None:
    text = encode_gpp({2: CONSENT, 7: NATIONAL})
    assert [verdict.applies for verdict in gpp_permissions(text, (2, 7), VENDOR)] == [
        ("gdpr",),
        ("us",),
    ]
    assert all(verdict.identify for verdict in gpp_permissions(text, (2, 7), VENDOR))
    nobody = encode_tc_string(consenting(vendor_consents=some(0, [])))
    (permitted,) = gpp_permissions(encode_gpp({2: nobody}), (2,), VENDOR)
    assert permitted.reason == permissions.NO_VENDOR_CONSENT


@pytest.mark.parametrize(
    ("text", "listed", "reason", "law"),
    [
        ("", (7,), permissions.GPP_UNDECODABLE, "us"),
        ("garbage", (2,), permissions.GPP_UNDECODABLE, "gdpr"),
        ("garbage", (), permissions.GPP_UNDECODABLE, "other"),
        (encode_gpp({7: NATIONAL}), (8,), permissions.GPP_UNDECODABLE, "us"),
        (encode_gpp({7: NATIONAL}), (0,), permissions.GPP_UNDECODABLE, "other"),
        (encode_gpp({7: NATIONAL[:-3]}), (7,), permissions.GPP_UNDECODABLE, "us"),
        (encode_gpp({5: CONSENT}), (5,), permissions.GPP_UNSUPPORTED, "other"),
        (encode_gpp({1: CONSENT}), (1,), permissions.GPP_UNSUPPORTED, "other"),
        (encode_gpp({24: "B"}), (24,), permissions.GPP_UNDECODABLE, "us"),
        (encode_gpp({40: NATIONAL}), (40,), permissions.GPP_UNSUPPORTED, "other"),
        ("D" * 9000, (7,), permissions.GPP_UNDECODABLE, "other"),
        (encode_gpp({7: NATIONAL}), (7,) * 100, permissions.GPP_UNDECODABLE, "other"),
    ],
)
def test_what_cannot_be_read_permits_nothing(
    text: str, listed: tuple[int, ...], reason: str, law: str
) -> None:
    (permitted,) = gpp_permissions(text, listed, VENDOR)
    assert (permitted.identify, permitted.reason, permitted.applies) == (False, reason, (law,))
