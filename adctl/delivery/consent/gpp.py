"""GPP strings: several laws' consent in one, a header and a section for each.

IAB Tech Lab's "Global Privacy Platform String":
https://github.com/InteractiveAdvertisingBureau/Global-Privacy-Platform (Core).
"""

from __future__ import annotations

from functools import lru_cache

from adctl.delivery.consent import permissions, us
from adctl.delivery.consent.bits import MAX_CHARS, BitReader, UndecodableError
from adctl.delivery.consent.permissions import GDPR, OTHER, US, Permissions, refused
from adctl.delivery.consent.purposes import tcf_permissions

_HEADER_TYPE, _VERSION = 3, 1
_TCF_EU, _US_PRIVACY = 2, 6
_NONE_APPLY = -1
_MAX_SECTIONS = 64

_US_SECTIONS = range(_US_PRIVACY, 28)


def gpp_permissions(text: str, listed: tuple[int, ...], vendor_id: int) -> tuple[Permissions, ...]:
    """Return what each of the ``listed`` sections of ``text`` permits. Total: never raises.

    Without a list every section of the string counts; ``-1`` alone says that none does. A section
    that is not in the string, or that we cannot read, permits nothing.
    """
    if listed == (_NONE_APPLY,):
        return ()
    if len(text) > MAX_CHARS or len(listed) > _MAX_SECTIONS:
        return (refused(OTHER, permissions.GPP_UNDECODABLE),)
    return _remembered(text, listed, vendor_id)


@lru_cache(maxsize=4096)
def _remembered(text: str, listed: tuple[int, ...], vendor_id: int) -> tuple[Permissions, ...]:
    try:
        sections = decode_gpp(text)
    except UndecodableError:
        laws = dict.fromkeys(_law(section) for section in listed) or (OTHER,)
        return tuple(refused(law, permissions.GPP_UNDECODABLE) for law in laws)
    return tuple(
        _section_permissions(section, sections.get(section), vendor_id)
        for section in listed or sections
    )


def decode_gpp(text: str) -> dict[int, str]:
    """Return the sections of a GPP string, by id. Raises UndecodableError, whatever the text."""
    if len(text) > MAX_CHARS:
        raise UndecodableError("too long")
    header, *bodies = text.split("~")
    reader = BitReader(header)
    if (reader.take(6), reader.take(6)) != (_HEADER_TYPE, _VERSION):
        raise UndecodableError("not a GPP header of version 1")
    sections = reader.take_ids(_MAX_SECTIONS)
    reader.end()
    if not bodies or len(sections) != len(bodies):
        raise UndecodableError("not as many sections as the header lists")
    return dict(zip(sections, bodies, strict=True))


def _section_permissions(section: int, body: str | None, vendor_id: int) -> Permissions:
    if body is None:
        return refused(_law(section), permissions.GPP_UNDECODABLE)
    if section == _TCF_EU:
        return tcf_permissions(body, vendor_id)
    if section == _US_PRIVACY:
        return us.us_privacy_permissions(body)
    if section not in us.SECTIONS:
        return refused(_law(section), permissions.GPP_UNSUPPORTED)
    try:
        return us.us_section_permissions(section, body)
    except UndecodableError:
        return refused(US, permissions.GPP_UNDECODABLE)


def _law(section: int) -> str:
    if section == _TCF_EU:
        return GDPR
    return US if section in _US_SECTIONS else OTHER
