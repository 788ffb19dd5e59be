"""What becomes of an attribute of a bid request that cannot be read, for every attribute.

What protects nobody is dropped: nothing is bid that would not be if it were missing. What a person
is protected by counts as the strictest it can mean. What else protects somebody refuses what it
belongs to: an entry of a list, a kind of ad, the impression, or the whole request.
"""

from __future__ import annotations

from typing import Any

from adctl.openrtb.lenient import DROPPED, REFUSED, STRICT, Rule, Rules
from adctl.openrtb.request import (
    App,
    Audio,
    Banner,
    BidRequest,
    BrandVersion,
    Content,
    Data,
    Deal,
    Device,
    DeviceExt,
    Dooh,
    DurationFloor,
    Format,
    Geo,
    Imp,
    Native,
    Pmp,
    Quantity,
    Regs,
    RegsExt,
    Segment,
    Site,
    Source,
    SourceExt,
    SupplyChain,
    SupplyChainNode,
    User,
    UserAgent,
    UserExt,
    Video,
)

_DROP, _REFUSE = Rule(DROPPED), Rule(REFUSED)
_DROP_EACH, _REFUSE_EACH = Rule(DROPPED, each=True), Rule(REFUSED, each=True)
# Of the kinds of ads that an impression takes, the others are still there.
_ALTERNATIVE = Rule(DROPPED, alternative=True)
# It has to come back as it was.
_ID = Rule(REFUSED, as_is=True)
# A bid repeats it as a number, which is compared with what was asked for.
_SIDE = Rule(DROPPED, digits=True)


def _strict(value: Any) -> Rule:
    return Rule(STRICT, value)


# No consent string, us_privacy string or GPP string: the user permits nothing.
_NO_PERMISSION = _strict("?")
# No string has the section 0, so something applies that permits nothing; and 2 is the GDPR's.
_SECTIONS = _strict([0, 2])


def _rules(drop: str = "", refuse: str = "", **others: Rule) -> dict[str, Rule]:
    return dict.fromkeys(drop.split(), _DROP) | dict.fromkeys(refuse.split(), _REFUSE) | others


# Without them it is not known whether an ad fits.
_TIMED = "mimes minduration maxduration rqddurs poddur mincpmpersec protocols battr minbitrate"
_TIMED += " maxbitrate delivery durfloors"

RULES: Rules = {
    # A format without a size has none that fits; a least width must be kept to.
    Format: _rules(refuse="wmin", w=_SIDE, h=_SIDE, wratio=_SIDE, hratio=_SIDE),
    # What is not listed in ``api`` and ``expdir`` is not there.
    Banner: _rules("api expdir", "btype battr mimes", format=_REFUSE_EACH, w=_SIDE, h=_SIDE),
    DurationFloor: _rules(refuse="mindur maxdur bidfloor"),
    # What campaigns can restrict themselves to does not match where it is not told.
    Video: _rules(
        "w h startdelay placement plcmt playbackmethod maxextended api",
        f"{_TIMED} protocol linearity skipmin skipafter",
        skip=_strict(0),
        boxingallowed=_strict(0),
    ),
    Audio: _rules("startdelay maxextended api feed", _TIMED),
    Native: _rules("ver api", "battr", request=Rule(REFUSED, as_json=True)),
    Deal: _rules("guar", "id bidfloor bidfloorcur wseat wadomain at mincpmpersec durfloors"),
    Pmp: _rules(refuse="private_auction", deals=_REFUSE_EACH),
    Quantity: _rules(refuse="multiplier"),
    Imp: _rules(
        refuse="pmp bidfloor bidfloorcur secure qty",
        id=_ID,
        banner=_ALTERNATIVE,
        video=_ALTERNATIVE,
        audio=_ALTERNATIVE,
        native=_ALTERNATIVE,
    ),
    Segment: _rules("id"),
    Data: _rules(segment=_DROP_EACH),
    Content: _rules("cat language langb"),
    Site: _rules("domain page cat sectioncat pagecat content"),
    App: _rules("bundle cat sectioncat pagecat content"),
    Dooh: {},
    Geo: _rules("lat lon country region metro city zip"),
    BrandVersion: _rules("brand"),
    UserAgent: _rules("platform", browsers=_DROP_EACH),
    # 2: the user has said no.
    DeviceExt: _rules(gpc=_strict(1), atts=_strict(2)),
    Device: _rules(
        "ua sua ip geo devicetype connectiontype os language langb ifa",
        lmt=_strict(1),
        dnt=_strict(1),
        ext=_strict(DeviceExt(gpc=1, atts=2)),
    ),
    UserExt: _rules("eids", consent=_NO_PERMISSION),
    User: _rules(
        "id buyeruid eids",
        consent=_NO_PERMISSION,
        data=_DROP_EACH,
        ext=_strict(UserExt(consent="?")),
    ),
    RegsExt: _rules(
        gdpr=_strict(1),
        us_privacy=_NO_PERMISSION,
        gpc=_strict(1),
        gpp=_NO_PERMISSION,
        gpp_sid=_SECTIONS,
    ),
    Regs: _rules(
        coppa=_strict(1),
        gdpr=_strict(1),
        us_privacy=_NO_PERMISSION,
        gpp=_NO_PERMISSION,
        gpp_sid=_SECTIONS,
        ext=_strict(RegsExt(gdpr=1, gpc=1)),
    ),
    # A chain of which a part cannot be read is none, and that is refused as such.
    SupplyChainNode: _rules(refuse="asi sid hp"),
    SupplyChain: _rules("ver", "complete nodes"),
    SourceExt: _rules(schain=_strict(SupplyChain())),
    Source: _rules("ext", schain=_strict(SupplyChain())),
    # Inventory that is not known, and a device whose user may have opted out. With a ``tmax`` that
    # is too short the answer is late, which costs nobody anything.
    BidRequest: _rules(
        "tmax allimps",
        "test wseat bseat cur wlang wlangb bcat acat cattax bapp",
        # No domain is a number: it would not be known who is blocked.
        badv=Rule(REFUSED, words=True),
        id=_ID,
        imp=_REFUSE_EACH,
        site=_strict(Site()),
        app=_strict(App()),
        dooh=_strict(Dooh()),
        device=_strict(Device(lmt=1)),
        user=_strict(User(consent="?")),
        regs=_strict(Regs(coppa=1, gdpr=1)),
        source=_DROP,
    ),
}
"""By struct and attribute. What is missing here is a KeyError as the program starts."""
