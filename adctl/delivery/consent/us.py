"""Opt-outs in the United States: us_privacy, and the US sections of GPP.

IAB Tech Lab's "US Privacy String" (https://github.com/InteractiveAdvertisingBureau/USPrivacy) and
the US sections of https://github.com/InteractiveAdvertisingBureau/Global-Privacy-Platform.
"""

from __future__ import annotations

from typing import NamedTuple

from adctl.delivery.consent import permissions
from adctl.delivery.consent.bits import BitReader, UndecodableError
from adctl.delivery.consent.permissions import GPC, UNRESTRICTED, US, Permissions, refused
from adctl.delivery.consent.us_subsections import NO, STATES, read_gpc, state_permissions

_NOT_APPLICABLE = "1---"
_MSPA_FIELDS = 3


class Layout(NamedTuple):
    """How many two-bit fields of each kind follow a core segment's version, in this order.

    ``location`` is the place of precise location among the sensitive ones, 0 where it has none.
    Three fields on the contract between publishers (MSPA) end every segment.
    """

    notices: int
    opt_outs: int
    sensitive: int
    location: int
    children: int
    other_consents: int


_STATE = Layout(3, 2, 8, 8, 1, 1)

# By section and version. Sections 24 to 27 have another form: us_subsections.
LAYOUTS = {
    (7, 1): Layout(6, 3, 12, 8, 2, 1),  # national
    (7, 2): Layout(6, 3, 16, 8, 3, 1),
    (8, 1): Layout(3, 2, 9, 3, 2, 1),  # California
    (9, 1): _STATE._replace(other_consents=0),  # Virginia
    (10, 1): Layout(3, 2, 7, 0, 1, 0),  # Colorado
    (11, 1): _STATE._replace(notices=4, other_consents=0),  # Utah
    (12, 1): _STATE._replace(children=3, other_consents=0),  # Connecticut
    (13, 1): _STATE._replace(children=3),  # Florida
    (14, 1): _STATE._replace(children=3),  # Montana
    (15, 1): Layout(3, 2, 11, 11, 3, 1),  # Oregon
    (16, 1): _STATE,  # Texas
    (17, 1): _STATE._replace(sensitive=9, children=5),  # Delaware
    (18, 1): _STATE._replace(notices=4, other_consents=0),  # Iowa
    (19, 1): _STATE,  # Nebraska
    (20, 1): _STATE._replace(children=3),  # New Hampshire
    (21, 1): _STATE._replace(sensitive=10, children=5),  # New Jersey
    (22, 1): _STATE,  # Tennessee
    (23, 1): _STATE,  # Minnesota
}
SECTIONS = frozenset(section for section, _ in LAYOUTS) | STATES


def us_privacy_permissions(text: str) -> Permissions:
    """Return what a us_privacy string permits: version 1, notice, opt-out of sale, LSPA.

    ``1---`` does not apply. What is not of this form counts as an opt-out.
    """
    if text == _NOT_APPLICABLE:
        return UNRESTRICTED
    readable = (
        len(text) == 4 and text[0] == "1" and text[1] in "YN" and text[2] in "YN-"
    ) and text[3] in "YN-"
    if not readable:
        return refused(US, permissions.US_PRIVACY_UNREADABLE)
    return Permissions(applies=(US,)) if text[2] == "N" else refused(US, permissions.US_OPT_OUT)


def us_section_permissions(section: int, text: str) -> Permissions:
    """Return what one of SECTIONS permits. Raises UndecodableError unless all of it is read.

    An opt-out of sale, sharing or targeted advertising makes the request contextual, and so do
    Global Privacy Control, a child without consent, and a publisher whose vendors may work as its
    service providers only. A field that does not apply forbids nothing.
    """
    if section in STATES:
        return state_permissions(section, text)
    core, *others = text.split(".")
    if _globally_opted_out(others):
        return refused(US, GPC)
    reader = BitReader(core)
    layout = LAYOUTS.get((section, reader.take(6)))
    if layout is None:
        raise UndecodableError("an unknown version")
    _take_fields(reader, layout.notices)
    opt_outs = _take_fields(reader, layout.opt_outs)
    sensitive = _take_fields(reader, layout.sensitive)
    children = _take_fields(reader, layout.children)
    _take_fields(reader, layout.other_consents)
    *_, service_provider_mode = _take_fields(reader, _MSPA_FIELDS)
    reader.end()
    if any(field in NO for field in (*opt_outs, *children, service_provider_mode)):
        return refused(US, permissions.US_OPT_OUT)
    if layout.location and sensitive[layout.location - 1] in NO:
        reason = permissions.NO_LOCATION_OPT_IN
        return Permissions(precise_location=False, reason=reason, applies=(US,))
    return Permissions(applies=(US,))


def _take_fields(reader: BitReader, count: int) -> list[int]:
    return [reader.take(2) for _ in range(count)]


def _globally_opted_out(segments: list[str]) -> bool:
    if len(segments) > 1:
        raise UndecodableError("more segments than the section has")
    return bool(segments) and read_gpc(segments[0])
