"""What a request permits, and the words for why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

# --- what applies ---
COPPA = "coppa"  # a child's device or page (United States)
DEVICE = "device"  # the device's own settings: limited ad tracking, do not track
GPC = "gpc"  # Global Privacy Control
GDPR = "gdpr"
US = "us"  # a law of the United States or of a state
OTHER = "other"  # a section of GPP we do not read

# --- why something is withheld; docs/privacy.md explains each ---
LIMITED_AD_TRACKING = "limited_ad_tracking"
DO_NOT_TRACK = "do_not_track"
NO_VENDOR_ID = "no_vendor_id"
NO_CONSENT_STRING = "no_consent_string"
TCF_UNDECODABLE = "tcf_undecodable"
TCF_INVALID = "tcf_invalid"
VENDOR_NOT_DISCLOSED = "vendor_not_disclosed"
NO_VENDOR_CONSENT = "no_vendor_consent"
NO_PURPOSE_CONSENT = "no_purpose_consent"
NO_PROFILE_CONSENT = "no_profile_consent"
NO_LOCATION_OPT_IN = "no_location_opt_in"
US_OPT_OUT = "us_opt_out"
US_PRIVACY_UNREADABLE = "us_privacy_unreadable"
GPP_UNDECODABLE = "gpp_undecodable"
GPP_UNSUPPORTED = "gpp_unsupported"


class Permissions(msgspec.Struct, frozen=True, gc=False):
    """What may be done with the user of one request.

    ``identify``: know the user by an id, and count how often they saw an ad. ``segments``: target
    by user.data. ``precise_location``: target by latitude and longitude. Neither is ever there
    without ``identify``. ``bid`` is False where the house's policy is to leave such a request.
    ``applies`` names the laws and settings that were told, ``reason`` is the first thing that
    withheld something, or ''.
    """

    identify: bool = True
    segments: bool = True
    precise_location: bool = True
    bid: bool = True
    reason: str = ""
    applies: tuple[str, ...] = ()


UNRESTRICTED = Permissions()


def refused(applies: str, reason: str) -> Permissions:
    """Return the permissions of a contextual request: none."""
    return Permissions(
        identify=False, segments=False, precise_location=False, reason=reason, applies=(applies,)
    )


def combined(verdicts: Iterable[Permissions]) -> Permissions:
    """Return what every one of ``verdicts`` permits; all is permitted if there are none."""
    given = tuple(verdicts)
    if len(given) == 1:
        return given[0]
    return Permissions(
        identify=all(verdict.identify for verdict in given),
        segments=all(verdict.segments for verdict in given),
        precise_location=all(verdict.precise_location for verdict in given),
        bid=all(verdict.bid for verdict in given),
        reason=next((verdict.reason for verdict in given if verdict.reason), ""),
        applies=tuple(dict.fromkeys(law for verdict in given for law in verdict.applies)),
    )
