"""The US sections of GPP that have a header of their own: Maryland and those after it.

https://github.com/InteractiveAdvertisingBureau/Global-Privacy-Platform (Sections/US-States). The
header lists what follows the core segment, which is not in the list. IAB Tech Lab's own encoder
leaves the header out; a first number tells the two forms apart, for it is the section's or the
contract's version.
"""

from __future__ import annotations

from adctl.delivery.consent import permissions
from adctl.delivery.consent.bits import BitReader, UndecodableError
from adctl.delivery.consent.permissions import GPC, US, Permissions, refused

NO = (1, 3)
"""Opted out, or no consent; 3 is not defined and taken as a no."""

_MARYLAND = 24
STATES = frozenset({_MARYLAND, 25, 26, 27})  # Indiana, Kentucky, Rhode Island

_HEADER_VERSION = 1
_CONTRACT_VERSION = 1
_GPC_SEGMENT = 1
_OPTIONAL_SEGMENT = 1
_OPT_OUT_MODE = 1
_SENSITIVE, _LOCATION = 8, 7


def state_permissions(section: int, text: str) -> Permissions:
    """Return what one of STATES permits. Raises UndecodableError unless all of it is read.

    Of the core segment, an opt-out of sale or targeted advertising, a child without consent, and
    service providers only make the request contextual. What may follow it is Global Privacy Control
    in Maryland, and elsewhere the sensitive data, precise location among them.
    """
    core, *others = _segments(section, text)
    refusal = _core_refusal(section, core)
    precise_location = True
    for other in others:
        if section == _MARYLAND:
            refusal = GPC if read_gpc(other) else refusal
        else:
            precise_location = _location_permitted(other)
    if refusal:
        return refused(US, refusal)
    if not precise_location:
        reason = permissions.NO_LOCATION_OPT_IN
        return Permissions(precise_location=False, reason=reason, applies=(US,))
    return Permissions(applies=(US,))


def read_gpc(segment: str) -> bool:
    """Return whether a segment tells of Global Privacy Control. Raises UndecodableError."""
    reader = BitReader(segment)
    if reader.take(2) != _GPC_SEGMENT:
        raise UndecodableError("an unknown segment")
    opted_out = bool(reader.take(1))
    reader.end()
    return opted_out


def _segments(section: int, text: str) -> list[str]:
    """Return the core segment and what follows it, at most one, without the header."""
    first, *others = text.split(".")
    reader = BitReader(first)
    told = reader.take(6)
    if told == _CONTRACT_VERSION:
        segments, listed = [first, *others], len(others)
    elif told == section and reader.take(6) == _HEADER_VERSION:
        ids = reader.take_ids(_OPTIONAL_SEGMENT)
        reader.end()
        if ids not in ([], [_OPTIONAL_SEGMENT]):
            raise UndecodableError("an unknown segment")
        segments, listed = others, len(ids)
    else:
        raise UndecodableError("an unknown version")
    if listed > 1 or len(segments) != 1 + listed:
        raise UndecodableError("not the segments the header lists")
    return segments


def _core_refusal(section: int, core: str) -> str:
    reader = BitReader(core)
    if not reader.take(6):
        raise UndecodableError("no version of the contract")
    _covered, mode = _take_fields(reader, 2)
    _take_fields(reader, 3)
    choices = _take_fields(reader, 2 if section == _MARYLAND else 3)
    _take_fields(reader, 1)
    reader.end()
    contextual = mode > _OPT_OUT_MODE or any(field in NO for field in choices)
    return permissions.US_OPT_OUT if contextual else ""


def _location_permitted(segment: str) -> bool:
    reader = BitReader(segment)
    fields = _take_fields(reader, _SENSITIVE)
    reader.end()
    return fields[_LOCATION] not in NO


def _take_fields(reader: BitReader, count: int) -> list[int]:
    return [reader.take(2) for _ in range(count)]
