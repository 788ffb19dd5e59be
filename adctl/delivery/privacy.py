"""What a request permits us to know of its user. Fails closed: what cannot be read is a no.

Without permission a request is contextual: no user id, segment or precise location is used, stored
or logged, and no frequency is counted. docs/privacy.md has the table of signals.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from adctl.delivery.consent import permissions
from adctl.delivery.consent.gpp import gpp_permissions
from adctl.delivery.consent.permissions import (
    COPPA,
    DEVICE,
    GDPR,
    GPC,
    UNRESTRICTED,
    Permissions,
    combined,
    refused,
)
from adctl.delivery.consent.purposes import tcf_permissions
from adctl.delivery.consent.us import us_privacy_permissions
from adctl.delivery.identity import IdentityPolicy, user_id_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adctl.openrtb import BidRequest, Device, Regs, User

# Apple's ATTrackingManager: restricted, denied.
_TRACKING_DENIED = ("1", "2")


class PrivacyPolicy(msgspec.Struct, frozen=True):
    """What the house goes by.

    ``vendor_id`` is ours on IAB Europe's Global Vendor List; 0: we are not on it, and no user
    under the GDPR is ever identified. ``gdpr_policy`` is what to do with requests under the GDPR
    that do not let us identify the user.
    """

    vendor_id: int = 0
    gdpr_policy: Literal["contextual", "no_bid"] = "contextual"


def permissions_of(request: BidRequest, policy: PrivacyPolicy) -> Permissions:
    """Return what every law and setting told in ``request`` permits. Total: never raises."""
    if request.regs is None and _tells_nothing(request.device, request.user):
        return UNRESTRICTED
    verdicts = list(_verdicts(request, policy.vendor_id))
    if not verdicts:
        return UNRESTRICTED
    whole = combined(verdicts)
    if policy.gdpr_policy == "no_bid" and any(
        GDPR in verdict.applies and not verdict.identify for verdict in verdicts
    ):
        return msgspec.structs.replace(whole, bid=False)
    return whole


def permitted_user_id(
    request: BidRequest, permissions: Permissions, identity: IdentityPolicy
) -> str:
    """Return the user id we may count and target by, '' for none."""
    return user_id_of(request, identity) if permissions.identify else ""


def _tells_nothing(device: Device | None, user: User | None) -> bool:
    # For most requests; whatever says anything at all is looked at one by one.
    if device is not None and (device.lmt or device.dnt or device.ext is not None):
        return False
    return user is None or (not user.consent and user.ext is None)


def _verdicts(request: BidRequest, vendor_id: int) -> Iterator[Permissions]:
    regs = request.regs
    if regs is not None and regs.coppa:
        yield refused(COPPA, COPPA)
    if request.device is not None:
        yield from _device_verdicts(request.device)
    of_gpp: tuple[Permissions, ...] = ()
    if regs is not None:
        if regs.ext is not None and _is_set(regs.ext.gpc):
            yield refused(GPC, GPC)
        of_gpp = _gpp_verdicts(regs, vendor_id)
    yield from _gdpr_verdicts(request, of_gpp, vendor_id)
    if regs is not None:
        told = regs.us_privacy or (regs.ext.us_privacy if regs.ext else None)
        if told:
            yield us_privacy_permissions(told)
    yield from of_gpp


def _device_verdicts(device: Device) -> Iterator[Permissions]:
    if device.lmt or (device.ext is not None and str(device.ext.atts) in _TRACKING_DENIED):
        yield refused(DEVICE, permissions.LIMITED_AD_TRACKING)
    if device.dnt:
        yield refused(DEVICE, permissions.DO_NOT_TRACK)
    if device.ext is not None and _is_set(device.ext.gpc):
        yield refused(GPC, GPC)


def _is_set(gpc: int | str | None) -> bool:
    return str(gpc or 0) != "0"


def _gdpr_verdicts(
    request: BidRequest, of_gpp: tuple[Permissions, ...], vendor_id: int
) -> Iterator[Permissions]:
    """Any value but 0 is taken as applying; so is a consent string without one."""
    regs, user = request.regs, request.user
    gdpr = None
    if regs is not None:
        gdpr = regs.gdpr if regs.gdpr is not None or regs.ext is None else regs.ext.gdpr
    consent = (user.consent or (user.ext.consent if user.ext else None)) if user else None
    if gdpr == 0 or (gdpr is None and not consent):
        return
    if consent:
        yield tcf_permissions(consent, vendor_id)
    elif not any(GDPR in verdict.applies for verdict in of_gpp):
        missing = permissions.NO_CONSENT_STRING if vendor_id else permissions.NO_VENDOR_ID
        yield refused(GDPR, missing)


def _gpp_verdicts(regs: Regs, vendor_id: int) -> tuple[Permissions, ...]:
    """Judge the sections of GPP. Where they are listed without a string they permit nothing."""
    text, listed = regs.gpp, tuple(regs.gpp_sid or ())
    if regs.ext is not None:
        text = text or regs.ext.gpp
        listed = listed or tuple(regs.ext.gpp_sid or ())
    return gpp_permissions(text or "", listed, vendor_id) if text or listed else ()
