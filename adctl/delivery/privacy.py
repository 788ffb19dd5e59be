"""Whether a request lets us know its user. Fails closed: what cannot be read counts as a no.

Without permission a request is contextual: no user id, segment or precise location is used, stored
or logged, and no frequency is counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adctl.openrtb import BidRequest, Device, Regs


def permitted_user_id(request: BidRequest) -> str | None:
    """Return the user id we may count and target by, or None.

    Our own id (``buyeruid``) first, then the exchange's, then the device's advertising id. Where
    GDPR or GPP apply the answer is None: consent strings are not read yet.
    """
    if not user_level_permitted(request):
        return None
    user, device = request.user, request.device
    from_user = (user.buyeruid or user.id) if user else None
    return from_user or (device.ifa if device else None) or None


def user_level_permitted(request: BidRequest) -> bool:
    """Return whether the user may be identified at all."""
    return _regulations_permit(request.regs) and _device_permits(request.device)


def _regulations_permit(regs: Regs | None) -> bool:
    if regs is None:
        return True
    ext = regs.ext
    gdpr = regs.gdpr if regs.gdpr is not None else ext.gdpr if ext else None
    us_privacy = regs.us_privacy or (ext.us_privacy if ext else None)
    return not (
        regs.coppa
        or gdpr  # any value but 0 is taken as applying
        or regs.gpp
        or regs.gpp_sid
        or (ext is not None and str(ext.gpc or 0) != "0")
        or not _us_privacy_permits(us_privacy)
    )


def _us_privacy_permits(text: str | None) -> bool:
    """IAB's us_privacy: version 1, notice, opt-out of sale, LSPA; ``1---`` does not apply."""
    if not text or text == "1---":
        return True
    return len(text) == 4 and text[0] == "1" and text[1] in "YN" and text[2] == "N"


def _device_permits(device: Device | None) -> bool:
    return device is None or not (device.lmt or device.dnt)
