"""One form for each user's id, wherever it comes from: bid requests, advertisers, people.

What is hashed is that form and nothing else, so that a cap, a conversion and whoever looks a user
up, or forgets one, mean the same user.
"""

from __future__ import annotations

import re

from adctl.delivery.placeholders import is_no_id

_DIGITS_AND_HYPHEN = "0123456789abcdef-"
_DASHED = re.compile(
    r"(?:urn:uuid:)?\{?([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\}?"
)
_LENGTH, _LONGEST_UUID = 36, len("urn:uuid:{}") + 36
# Without hyphens, 32 digits may be any hash: RFC 9562's version and variant tell a UUID from it.
_BARE_LENGTH = 32
_BARE = re.compile(r"([0-9a-f]{8})([0-9a-f]{4})([1-8][0-9a-f]{3})([89ab][0-9a-f]{3})([0-9a-f]{12})")
_SOURCE = re.compile(r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
# What editors and spreadsheets leave around a text: marks of byte order, and blanks of no width.
_NO_WIDTH = "\ufeff\u200b\u200c\u200d\u2060"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def read_user_id(told: str) -> str:
    """Return the form in which a user is known by an id: the same for the same id, '' for none.

    Blanks around it go; a UUID is in small letters with hyphens, however it was written. An id of
    ``user.eids`` is its source's domain, a colon, and the id, as ``of_source`` makes it. Total:
    never raises.
    """
    if ":" in told:
        source, _, uid = told.partition(":")
        if _SOURCE.fullmatch(source.strip()):
            return of_source(source, uid)
    return _read(told)


def of_source(source: str, uid: str) -> str:
    """Return how a user is known by ``source``'s id; '' where either says that there is none."""
    domain, known = source.strip().rstrip(".").lower(), _read(uid)
    return f"{domain}:{known}" if known and domain and not is_no_id(domain) else ""


def earlier_forms(known: str, told: str) -> list[str]:
    """Return the other texts that the user was known by while ids were taken as they came.

    ``known`` is what read_user_id made of ``told``.
    """
    spellings = [told]
    if _DASHED.fullmatch(known):
        bare = known.replace("-", "")
        spellings += [known.upper(), bare, bare.upper()]
    return [one for one in dict.fromkeys(spellings) if one != known]


def _read(told: str) -> str:
    text = told if told.isalnum() else told.strip().strip(_NO_WIDTH).strip()
    if is_no_id(text):
        return ""
    length = len(text)
    if length == _LENGTH and text[8] == text[13] == text[18] == text[23] == "-":
        lower = text.lower()
        # Nothing but its digits and hyphens is left.
        return text if lower.strip(_DIGITS_AND_HYPHEN) else lower
    if length == _BARE_LENGTH:
        return _bare_uuid(text)
    if _LENGTH < length <= _LONGEST_UUID and (dashed := _DASHED.fullmatch(text.lower())):
        return dashed[1]
    return text if text.isprintable() or not _CONTROL.search(text) else ""


def _bare_uuid(text: str) -> str:
    parts = _BARE.fullmatch(text.lower())
    return "-".join(parts.groups()) if parts else text
