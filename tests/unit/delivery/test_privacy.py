from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adctl.delivery.consent.permissions import UNRESTRICTED, Permissions
from adctl.delivery.identity import IdentityPolicy
from adctl.delivery.privacy import PrivacyPolicy, permissions_of, permitted_user_id
from adctl.openrtb import BidRequest
from tests.unit.delivery.consent.encoding import (
    VENDOR,
    consenting,
    encode_gpp,
    encode_tc_string,
    encode_us_section,
    some,
)

POLICY = PrivacyPolicy(vendor_id=VENDOR)
NO_BID = PrivacyPolicy(vendor_id=VENDOR, gdpr_policy="no_bid")
CONSENT = encode_tc_string(consenting())
NO_CONSENT = encode_tc_string(consenting(purposes_consent=some(24, [])))
OPTED_OUT = encode_gpp({8: encode_us_section(1, [1, 1, 0, 1, 2] + [0] * 9 + [0] * 3 + [2, 0, 0])})
NOT_OPTED_OUT = encode_gpp(
    {8: encode_us_section(1, [1, 1, 0, 2, 2] + [0] * 9 + [0] * 3 + [2, 0, 0])}
)


def request(**parts: object) -> BidRequest:
    whole = {"id": "r", "imp": [{"id": "1"}], "user": {"id": "u1"}, **parts}
    return msgspec.convert(whole, BidRequest)


def permitted(policy: PrivacyPolicy = POLICY, **parts: object) -> Permissions:
    return permissions_of(request(**parts), policy)


def user_id(**parts: object) -> str:
    asked = request(**parts)
    return permitted_user_id(asked, permissions_of(asked, POLICY), IdentityPolicy())


def with_consent(text: str, **user: object) -> dict[str, object]:
    return {"id": "u1", "consent": text, **user}


def test_user_is_known_when_nothing_forbids_it() -> None:
    assert user_id() == "u1"
    assert permitted() is UNRESTRICTED


def test_our_own_id_comes_before_the_exchanges_and_the_devices() -> None:
    assert user_id(user={"id": "u1", "buyeruid": "ours"}, device={"ifa": "d1"}) == "ours"
    assert user_id(user={}, device={"ifa": "d1"}) == "d1"


@pytest.mark.parametrize("user", [{}, None])
def test_user_without_an_id_is_nobody(user: object) -> None:
    assert user_id(user=user) == ""


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"regs": {"coppa": 1}}, "coppa"),
        ({"regs": {"coppa": 2}}, "coppa"),
        ({"regs": {"gdpr": 1}}, "no_consent_string"),
        ({"regs": {"gdpr": 2}}, "no_consent_string"),
        ({"regs": {"ext": {"gdpr": 1}}}, "no_consent_string"),
        ({"regs": {"gdpr": 1}, "user": with_consent("")}, "no_consent_string"),
        ({"regs": {"gdpr": 1}, "user": with_consent("0101")}, "tcf_undecodable"),
        ({"regs": {"gdpr": 1}, "user": with_consent(CONSENT[:-4])}, "tcf_undecodable"),
        ({"regs": {"gdpr": 1}, "user": with_consent(NO_CONSENT)}, "no_purpose_consent"),
        (
            {"regs": {"gdpr": 1}, "user": {"id": "u1", "ext": {"consent": NO_CONSENT}}},
            "no_purpose_consent",
        ),
        ({"user": with_consent(NO_CONSENT)}, "no_purpose_consent"),
        ({"user": {"id": "u1", "ext": {"consent": NO_CONSENT}}}, "no_purpose_consent"),
        ({"regs": {"us_privacy": "1YYN"}}, "us_opt_out"),
        ({"regs": {"us_privacy": "1Y-N"}}, "us_opt_out"),
        ({"regs": {"us_privacy": "banana"}}, "us_privacy_unreadable"),
        ({"regs": {"ext": {"us_privacy": "1NYN"}}}, "us_opt_out"),
        ({"regs": {"gpp": "DBABM~x"}}, "tcf_undecodable"),
        ({"regs": {"gpp_sid": [7]}}, "gpp_undecodable"),
        ({"regs": {"gpp": OPTED_OUT, "gpp_sid": [8]}}, "us_opt_out"),
        ({"regs": {"gpp": OPTED_OUT, "gpp_sid": []}}, "us_opt_out"),
        ({"regs": {"ext": {"gpp": OPTED_OUT, "gpp_sid": [8]}}}, "us_opt_out"),
        ({"regs": {"gpp": NOT_OPTED_OUT, "gpp_sid": [8, 9]}}, "gpp_undecodable"),
        ({"regs": {"ext": {"gpc": "1"}}}, "gpc"),
        ({"regs": {"ext": {"gpc": 1}}}, "gpc"),
        ({"device": {"ext": {"gpc": 1}}}, "gpc"),
        ({"device": {"lmt": 1}}, "limited_ad_tracking"),
        ({"device": {"dnt": 1}}, "do_not_track"),
        ({"device": {"ext": {"atts": 1}}}, "limited_ad_tracking"),
        ({"device": {"ext": {"atts": "2"}}}, "limited_ad_tracking"),
    ],
)
def test_request_is_contextual(parts: dict[str, Any], reason: str) -> None:
    given_ = permitted(**parts)
    assert given_.reason == reason
    assert (given_.identify, given_.segments, given_.precise_location) == (False, False, False)
    assert given_.bid
    assert given_.applies
    assert user_id(**{"device": {"ifa": "d1"}, **parts}) == ""


@pytest.mark.parametrize(
    "parts",
    [
        {"regs": {}},
        {"regs": {"gdpr": 0}},
        {"regs": {"gdpr": 0}, "user": with_consent(NO_CONSENT)},
        {"regs": {"gdpr": 0, "ext": {"gdpr": 1}}},
        {"regs": {"gdpr": 1}, "user": with_consent(CONSENT)},
        {"regs": {"ext": {"gdpr": 1}}, "user": {"id": "u1", "ext": {"consent": CONSENT}}},
        {"regs": {"gdpr": 1, "gpp": encode_gpp({2: CONSENT}), "gpp_sid": [2]}},
        {"regs": {"us_privacy": "1---"}},
        {"regs": {"us_privacy": "1YNN"}},
        {"regs": {"gpp": NOT_OPTED_OUT, "gpp_sid": [8]}},
        {"regs": {"gpp": OPTED_OUT, "gpp_sid": [-1]}},
        {"regs": {"coppa": 0, "ext": {"gpc": "0"}}},
        {"device": {"lmt": 0, "dnt": 0, "ext": {"gpc": 0}}},
        {"device": {"ext": {"atts": 3}}},
        {"device": {"ext": {"atts": 0}}},
    ],
)
def test_user_is_known(parts: dict[str, Any]) -> None:
    assert user_id(**parts) == "u1"


def test_consent_is_no_help_against_an_opt_out() -> None:
    parts: dict[str, Any] = {"regs": {"gdpr": 1}, "user": with_consent(CONSENT)}
    assert user_id(**parts, device={"lmt": 1}) == ""
    parts["regs"] = {"gdpr": 1, "gpp": OPTED_OUT, "gpp_sid": [8]}
    assert permitted(**parts).applies == ("gdpr", "us")
    assert user_id(**parts) == ""


def test_both_consent_strings_must_permit() -> None:
    regs = {"gdpr": 1, "gpp": encode_gpp({2: NO_CONSENT}), "gpp_sid": [2]}
    assert user_id(regs=regs, user=with_consent(CONSENT)) == ""


def test_without_a_vendor_id_the_gdpr_forbids_everything() -> None:
    asked = request(regs={"gdpr": 1}, user=with_consent(CONSENT))
    assert permissions_of(asked, PrivacyPolicy()).reason == "no_vendor_id"


@pytest.mark.parametrize(
    "parts",
    [
        {"regs": {"gdpr": 1}},
        {"regs": {"gdpr": 1}, "user": with_consent(NO_CONSENT)},
        {"regs": {"gdpr": 1, "coppa": 1}},
        {"regs": {"gpp": encode_gpp({2: NO_CONSENT}), "gpp_sid": [2]}},
    ],
)
def test_policy_may_be_not_to_bid_without_consent(parts: dict[str, Any]) -> None:
    assert not permitted(NO_BID, **parts).bid
    assert permitted(POLICY, **parts).bid


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"regs": {"us_privacy": "1YYN"}},
        {"regs": {"gdpr": 0}},
        {"regs": {"gdpr": 1}, "user": with_consent(CONSENT)},
        {"regs": {"gdpr": 1}, "user": with_consent(CONSENT), "device": {"lmt": 1}},
    ],
)
def test_that_policy_is_about_consent_under_the_gdpr_alone(parts: dict[str, Any]) -> None:
    assert permitted(NO_BID, **parts).bid


_TEXTS = st.none() | st.text(max_size=30) | st.sampled_from([CONSENT, OPTED_OUT, "1YNN", "1---"])
_NUMBERS = st.none() | st.integers(-2, 300)


@given(_NUMBERS, _NUMBERS, _TEXTS, _TEXTS, _TEXTS, st.none() | st.lists(st.integers(), max_size=4))
def test_no_signal_is_beyond_judging(
    coppa: int | None,
    gdpr: int | None,
    consent: str | None,
    us_privacy: str | None,
    gpp: str | None,
    gpp_sid: list[int] | None,
) -> None:
    regs = {
        "coppa": coppa,
        "gdpr": gdpr,
        "us_privacy": us_privacy,
        "gpp": gpp,
        "gpp_sid": gpp_sid,
    }
    given_ = permitted(regs=regs, user={"id": "u1", "consent": consent})
    assert given_.identify or not (given_.segments or given_.precise_location)
    assert bool(given_.reason) is not (
        given_.identify and given_.segments and given_.precise_location
    )
