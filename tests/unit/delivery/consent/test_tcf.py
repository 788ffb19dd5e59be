from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adctl.delivery.consent.bits import Bitfield, Ranges, UndecodableError
from adctl.delivery.consent.purposes import permissions_in
from adctl.delivery.consent.tcf import Restriction, TcString, decode_tc_string
from tests.unit.delivery.consent.encoding import (
    ALPHABET,
    VENDOR,
    base64url,
    consenting,
    encode_tc_string,
    number,
    some,
)

_LETTERS = st.text("ABCXYZabcxyz", min_size=2, max_size=2)
_PAIRS = st.tuples(st.integers(1, 0xFFFF), st.integers(1, 0xFFFF)).map(sorted).map(tuple)
_RANGES = st.lists(_PAIRS, max_size=6).map(tuple).map(Ranges)
_VENDORS = _RANGES | st.sets(st.integers(1, 1500)).map(lambda ids: some(1500, ids))


def bitfields(width: int) -> st.SearchStrategy[Bitfield]:
    return st.integers(0, (1 << width) - 1).map(lambda bits: Bitfield(width, bits))


STRINGS = st.builds(
    TcString,
    created_ds=st.integers(0, (1 << 36) - 1),
    last_updated_ds=st.integers(0, (1 << 36) - 1),
    cmp_id=st.integers(0, 4095),
    cmp_version=st.integers(0, 4095),
    consent_screen=st.integers(0, 63),
    consent_language=_LETTERS,
    vendor_list_version=st.integers(0, 4095),
    policy_version=st.integers(0, 63),
    is_service_specific=st.booleans(),
    use_non_standard_texts=st.booleans(),
    special_feature_opt_ins=bitfields(12),
    purposes_consent=bitfields(24),
    purposes_li_transparency=bitfields(24),
    purpose_one_treatment=st.booleans(),
    publisher_country=_LETTERS,
    vendor_consents=_VENDORS,
    vendor_legitimate_interests=_VENDORS,
    publisher_restrictions=st.lists(
        st.builds(Restriction, st.integers(0, 63), st.integers(0, 3), _RANGES), max_size=4
    ).map(tuple),
    disclosed_vendors=st.none() | _VENDORS,
)


@given(STRINGS, st.booleans(), st.sampled_from([6, 8]))
def test_what_a_platform_writes_is_read(string: TcString, publisher_tc: bool, unit: int) -> None:
    assert decode_tc_string(encode_tc_string(string, publisher_tc, unit)) == string


def test_string_cut_anywhere_is_refused_or_had_lost_nothing() -> None:
    restriction = Restriction(2, 1, Ranges(((1, 9), (VENDOR, VENDOR))))
    string = consenting(
        publisher_restrictions=(restriction,), disclosed_vendors=Ranges(((VENDOR, VENDOR),))
    )
    text = encode_tc_string(string, publisher_tc=True)
    whole = [text.index("."), text.rindex(".")]  # the segments behind a dot are optional
    for length in range(len(text)):
        if length not in whole:
            with pytest.raises(UndecodableError):
                decode_tc_string(text[:length])


@given(st.text(ALPHABET + ".", max_size=300))
def test_random_text_is_read_or_refused(text: str) -> None:
    read_or_refuse("C" + text)


@given(st.binary(min_size=1, max_size=200), st.integers(0, 5))
def test_random_bits_are_read_or_refused(noise: bytes, segment: int) -> None:
    bits = "".join(number(byte, 8) for byte in noise)
    read_or_refuse(base64url(number(2, 6) + bits))
    core = encode_tc_string(consenting())
    read_or_refuse(f"{core}.{base64url(number(segment, 3) + bits)}")


@given(STRINGS, st.data())
def test_damaged_string_is_read_or_refused(string: TcString, data: st.DataObject) -> None:
    text = encode_tc_string(string)
    place = data.draw(st.integers(0, len(text) - 1))
    read_or_refuse(text[:place] + data.draw(st.sampled_from(ALPHABET + "=~ Ä")) + text[place + 1 :])


def read_or_refuse(text: str) -> None:
    try:
        string = decode_tc_string(text)
    except UndecodableError:
        return
    # Some noise is a whole string by chance; what it permits is then what it says.
    permitted = permissions_in(string, VENDOR)
    assert not permitted.identify or VENDOR in string.vendor_consents


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "consent-string",
        "0101",
        "BOPVK28OPVK28ABABAENA8-AAAADkCNQCGoQAAQ",  # version 1
        encode_tc_string(consenting()) + ".",
        encode_tc_string(consenting()) + "." + base64url(number(4, 3)),
        encode_tc_string(consenting()) + 2 * ("." + base64url(number(1, 3) + number(0, 17))),
        encode_tc_string(consenting()) + "_",
        encode_tc_string(consenting()) + "A" * 8192,
        "." * 100_000,
    ],
)
def test_string_that_is_no_whole_tc_string_is_refused(text: str) -> None:
    with pytest.raises(UndecodableError):
        decode_tc_string(text)


def test_padding_is_no_content() -> None:
    assert decode_tc_string(encode_tc_string(consenting()) + "AA") == consenting()
