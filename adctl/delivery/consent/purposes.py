"""What a TC string permits one vendor, us.

Ours are purposes 1 (store and read on the device), 2 (select ads), 3 and 4 (make and use
profiles), 7 (measure ads), and special feature 1 (precise location). Purposes 1, 3 and 4 may rest
on consent only, 2 and 7 on legitimate interest too, unless the publisher says otherwise.
"""

from __future__ import annotations

from functools import lru_cache

from adctl.delivery.consent import permissions
from adctl.delivery.consent.bits import MAX_CHARS, UndecodableError
from adctl.delivery.consent.permissions import GDPR, Permissions, refused
from adctl.delivery.consent.tcf import TcString, decode_tc_string

_STORAGE, _SELECTION, _MEASUREMENT = 1, 2, 7
_PROFILES = (3, 4)
_BY_LEGITIMATE_INTEREST = (_SELECTION, _MEASUREMENT)
_PRECISE_LOCATION = 1

_ONLY_CONSENT, _ONLY_LEGITIMATE_INTEREST = 1, 2

# Since TCF 2.3 a string must tell which vendors the user was shown. IAB Europe's last day for
# strings without it was 28 February 2026; policy version 5 came with 2.3.
_DISCLOSURE_POLICY_VERSION = 5
_DISCLOSURE_FROM_DS = 17_723_232_000  # 2026-03-01T00:00:00Z


def tcf_permissions(text: str, vendor_id: int) -> Permissions:
    """Return what the TC string ``text`` permits vendor ``vendor_id``. Total: never raises.

    Strings come again with every request of a user, so the last few thousand are remembered.
    """
    if not vendor_id:
        return refused(GDPR, permissions.NO_VENDOR_ID)
    if len(text) > MAX_CHARS:
        return refused(GDPR, permissions.TCF_UNDECODABLE)
    return _remembered(text, vendor_id)


def read_permissions(text: str, vendor_id: int) -> Permissions:
    """Return what ``text`` permits, reading it anew: what tcf_permissions does the first time."""
    try:
        return permissions_in(decode_tc_string(text), vendor_id)
    except UndecodableError:
        return refused(GDPR, permissions.TCF_UNDECODABLE)


_remembered = lru_cache(maxsize=4096)(read_permissions)


def permissions_in(string: TcString, vendor_id: int) -> Permissions:
    """Return what ``string`` permits the vendor.

    Purpose 1 needs consent even where ``purpose_one_treatment`` says that the publisher's country
    does not ask for it: no country is known to us where a vendor could rely on that.
    """
    reason = _refusal(string, vendor_id)
    if reason:
        return refused(GDPR, reason)
    segments = all(_allowed(string, purpose, vendor_id) for purpose in _PROFILES)
    precise_location = _PRECISE_LOCATION in string.special_feature_opt_ins
    if not segments:
        reason = permissions.NO_PROFILE_CONSENT
    elif not precise_location:
        reason = permissions.NO_LOCATION_OPT_IN
    return Permissions(
        segments=segments, precise_location=precise_location, reason=reason, applies=(GDPR,)
    )


def _refusal(string: TcString, vendor_id: int) -> str:
    """Return why the vendor may not identify the user, or ''."""
    disclosed = string.disclosed_vendors
    # Global strings are deprecated, and invalid to vendors.
    if not string.is_service_specific or (disclosed is None and _must_disclose(string)):
        return permissions.TCF_INVALID
    if disclosed is not None and vendor_id not in disclosed:
        return permissions.VENDOR_NOT_DISCLOSED
    if vendor_id not in string.vendor_consents:
        return permissions.NO_VENDOR_CONSENT
    needed = (_STORAGE, _SELECTION, _MEASUREMENT)
    if not all(_allowed(string, purpose, vendor_id) for purpose in needed):
        return permissions.NO_PURPOSE_CONSENT
    return ""


def _must_disclose(string: TcString) -> bool:
    return (
        string.policy_version >= _DISCLOSURE_POLICY_VERSION
        or max(string.created_ds, string.last_updated_ds) >= _DISCLOSURE_FROM_DS
    )


def _allowed(string: TcString, purpose: int, vendor_id: int) -> bool:
    consent = purpose in string.purposes_consent and vendor_id in string.vendor_consents
    interest = (
        purpose in _BY_LEGITIMATE_INTEREST
        and purpose in string.purposes_li_transparency
        and vendor_id in string.vendor_legitimate_interests
    )
    for restriction in string.publisher_restrictions:
        if restriction.purpose == purpose and vendor_id in restriction.vendors:
            consent = consent and restriction.kind == _ONLY_CONSENT
            interest = interest and restriction.kind == _ONLY_LEGITIMATE_INTEREST
    return consent or interest
