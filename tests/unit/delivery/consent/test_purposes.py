"""What a TC string permits VENDOR."""

from __future__ import annotations

import pytest

from adctl.delivery.consent import permissions
from adctl.delivery.consent.bits import Ranges
from adctl.delivery.consent.purposes import permissions_in, tcf_permissions
from adctl.delivery.consent.tcf import Restriction
from tests.unit.delivery.consent.encoding import (
    VENDOR,
    consenting,
    encode_tc_string,
    some,
    typical_tc_string,
)

DISCLOSURE_DS = 17_723_232_000
ONLY_US = some(VENDOR, [VENDOR])
NOBODY = some(VENDOR, [1])


def restricted(purpose: int, kind: int, vendor: int = VENDOR) -> dict[str, object]:
    vendors = Ranges(((vendor, vendor),))
    return {"publisher_restrictions": (Restriction(purpose, kind, vendors),)}


def on_legitimate_interest(**changes: object) -> dict[str, object]:
    """Consent to 1, 3 and 4 only; 2 and 7 rest on legitimate interest."""
    return {
        "purposes_consent": some(24, [1, 3, 4]),
        "purposes_li_transparency": some(24, [2, 7]),
        "vendor_legitimate_interests": ONLY_US,
        **changes,
    }


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"vendor_consents": Ranges(((700, 800),))},
        {"disclosed_vendors": ONLY_US},
        {"disclosed_vendors": ONLY_US, "policy_version": 5, "last_updated_ds": DISCLOSURE_DS},
        {"last_updated_ds": DISCLOSURE_DS - 1},
        on_legitimate_interest(),
        on_legitimate_interest(**restricted(2, 2)),
        restricted(2, 1),
        restricted(2, 0, vendor=VENDOR + 1),
        restricted(9, 0),
    ],
)
def test_consent_permits_everything(changes: dict[str, object]) -> None:
    permitted = permissions_in(consenting(**changes), VENDOR)
    assert permitted.identify
    assert permitted.segments
    assert permitted.precise_location
    assert permitted.reason == ""
    assert permitted.applies == ("gdpr",)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"is_service_specific": False}, permissions.TCF_INVALID),
        ({"policy_version": 5}, permissions.TCF_INVALID),
        ({"last_updated_ds": DISCLOSURE_DS}, permissions.TCF_INVALID),
        ({"created_ds": DISCLOSURE_DS}, permissions.TCF_INVALID),
        ({"disclosed_vendors": NOBODY}, permissions.VENDOR_NOT_DISCLOSED),
        ({"vendor_consents": NOBODY}, permissions.NO_VENDOR_CONSENT),
        ({"vendor_consents": some(0, [])}, permissions.NO_VENDOR_CONSENT),
        ({"vendor_consents": Ranges(((1, 9), (800, 900)))}, permissions.NO_VENDOR_CONSENT),
        ({"purposes_consent": some(24, [2, 3, 4, 7])}, permissions.NO_PURPOSE_CONSENT),
        (
            {"purposes_consent": some(24, [2, 3, 4, 7]), "purpose_one_treatment": True},
            permissions.NO_PURPOSE_CONSENT,
        ),
        ({"purposes_consent": some(24, [1, 3, 4, 7])}, permissions.NO_PURPOSE_CONSENT),
        ({"purposes_consent": some(24, [1, 2, 3, 4])}, permissions.NO_PURPOSE_CONSENT),
        (restricted(1, 0), permissions.NO_PURPOSE_CONSENT),
        (restricted(2, 0), permissions.NO_PURPOSE_CONSENT),
        (restricted(1, 2), permissions.NO_PURPOSE_CONSENT),
        (restricted(2, 2), permissions.NO_PURPOSE_CONSENT),
        (restricted(2, 3), permissions.NO_PURPOSE_CONSENT),
        (on_legitimate_interest(**restricted(2, 0)), permissions.NO_PURPOSE_CONSENT),
        (on_legitimate_interest(**restricted(7, 1)), permissions.NO_PURPOSE_CONSENT),
        (
            on_legitimate_interest(vendor_legitimate_interests=NOBODY),
            permissions.NO_PURPOSE_CONSENT,
        ),
        (
            {
                "purposes_consent": some(24, [2, 7]),
                "purposes_li_transparency": some(24, [1]),
                "vendor_legitimate_interests": ONLY_US,
            },
            permissions.NO_PURPOSE_CONSENT,
        ),
    ],
)
def test_user_is_not_identified(changes: dict[str, object], reason: str) -> None:
    assert permissions_in(consenting(**changes), VENDOR) == permissions.refused("gdpr", reason)


@pytest.mark.parametrize(
    "changes",
    [
        {"purposes_consent": some(24, [1, 2, 3, 7])},
        {"purposes_consent": some(24, [1, 2, 4, 7])},
        restricted(3, 0),
        {
            "purposes_consent": some(24, [1, 2, 7]),
            "purposes_li_transparency": some(24, [3, 4]),
            "vendor_legitimate_interests": ONLY_US,
        },
    ],
)
def test_segments_need_consent_to_profiles(changes: dict[str, object]) -> None:
    permitted = permissions_in(consenting(**changes), VENDOR)
    assert permitted.identify
    assert not permitted.segments
    assert permitted.reason == permissions.NO_PROFILE_CONSENT


def test_precise_location_needs_the_opt_in() -> None:
    permitted = permissions_in(consenting(special_feature_opt_ins=some(12, [2])), VENDOR)
    assert permitted.identify
    assert permitted.segments
    assert not permitted.precise_location
    assert permitted.reason == permissions.NO_LOCATION_OPT_IN


def test_typical_string_permits_everything() -> None:
    permitted = tcf_permissions(typical_tc_string(), VENDOR)
    assert (permitted.identify, permitted.reason) == (True, "")


def test_without_a_vendor_id_nothing_is_permitted() -> None:
    permitted = tcf_permissions(encode_tc_string(consenting()), 0)
    assert (permitted.identify, permitted.reason) == (False, permissions.NO_VENDOR_ID)


def test_every_vendor_is_judged_alone() -> None:
    text = encode_tc_string(consenting())
    assert tcf_permissions(text, VENDOR).identify
    assert not tcf_permissions(text, VENDOR + 1).identify


@pytest.mark.parametrize("text", ["", "garbage", "C" * 9000, encode_tc_string(consenting())[:-5]])
def test_unreadable_string_permits_nothing(text: str) -> None:
    permitted = tcf_permissions(text, VENDOR)
    assert (permitted.identify, permitted.reason) == (False, permissions.TCF_UNDECODABLE)
