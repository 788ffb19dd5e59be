"""Whose request it is: the first of the sources, in the order of the configuration, with an id.

``user.eids`` holds ids of many makers, and how they came about: signed in, seen, or guessed from
an IP address. A guess is believed last, and only of the maker of the id.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from adctl.config_identity import DEFAULT_SOURCES, EIDS
from adctl.delivery.user_ids import of_source, read_user_id
from adctl.openrtb import Uid, read_eids

if TYPE_CHECKING:
    from adctl.openrtb import BidRequest, Eid, User

# AdCOM: list of id match methods, and of agent types.
_INFERRED = 5
_PERSON = 3
_FIRST_VENDOR_SPECIFIC = 500
# A token that only its maker can read is another one every few hours: a cap by it would be none.
_LONGEST_UID = 128
_ENCRYPTED = ("ID5*",)
_OF_EIDS = f"{EIDS}:"


class IdentityPolicy(msgspec.Struct, frozen=True):
    """What the house takes for a user's id; config.toml says what the words mean."""

    sources: tuple[str, ...] = DEFAULT_SOURCES
    inferred: Literal["never", "by_source", "always"] = "by_source"
    inserters: frozenset[str] = frozenset()


_ToldIds = list[dict[str, list[Uid]]]
"""The ids that each source tells, in 2.6's place, and in 2.5's."""


def user_id_of(request: BidRequest, policy: IdentityPolicy) -> str:
    """Return by what the request's user is known, '' for nothing; as read_user_id has it."""
    user, device = request.user, request.device
    seen: _ToldIds | None = None
    inferred: _ToldIds = []
    for source in policy.sources:
        if source == "buyeruid":
            told = user.buyeruid if user else None
        elif source == "user.id":
            told = user.id if user else None
        elif source == "ifa":
            told = device.ifa if device else None
        else:
            if seen is None:
                seen, inferred = _extended_ids(user, policy)
            if seen and (known := _known_by(source, seen)):
                return known
            continue
        if told and (known := read_user_id(told)):
            return known
    if inferred:
        return next(filter(None, (_known_by(source, inferred) for source in policy.sources)), "")
    return ""


def _extended_ids(user: User | None, policy: IdentityPolicy) -> tuple[_ToldIds, _ToldIds]:
    """Return what is believed of ``user.eids``: what was not inferred, and what was."""
    seen: _ToldIds = []
    inferred: _ToldIds = []
    if user is None:
        return seen, inferred
    for place in (user.eids, user.ext.eids if user.ext else None):
        if not place:
            continue
        here: tuple[dict[str, list[Uid]], dict[str, list[Uid]]] = ({}, {})
        for eid in read_eids(place):
            source = _domain(eid.source)
            guess = eid.mm is not None and _number(eid.mm) == _INFERRED
            if source and _is_believed(eid, source, policy, guess=guess):
                here[guess].setdefault(source, []).extend(eid.uids)
        for all_of, found in zip((seen, inferred), here, strict=True):
            if found:
                all_of.append(found)
    return seen, inferred


def _is_believed(eid: Eid, source: str, policy: IdentityPolicy, *, guess: bool) -> bool:
    if policy.inserters and _domain(eid.inserter) not in policy.inserters:
        return False
    if not guess or policy.inferred == "always":
        return True
    # Where nobody is named, it is the id's own maker.
    return policy.inferred == "by_source" and (_domain(eid.matcher) or source) == source


def _known_by(source: str, told: _ToldIds) -> str:
    if source != EIDS:
        return _one_id(source.removeprefix(_OF_EIDS), told)
    names = sorted({name for found in told for name in found})
    persons = {name for found in told for name, uids in found.items() if _tell_a_person(uids)}
    names.sort(key=persons.__contains__, reverse=True)
    for name in names:
        if known := _one_id(name, told):
            return known
    return ""


def _one_id(source: str, told: _ToldIds) -> str:
    """Return the one id that a source tells; the older place counts where the newer has none."""
    for found in told:
        uids = found.get(source)
        if not uids:
            continue
        known_by = {known for uid in uids if (known := _known(source, uid))}
        if len(known_by) == 1:
            return known_by.pop()
        persons = {known for uid in uids if _is_person(uid) and (known := _known(source, uid))}
        if len(persons) == 1:
            return persons.pop()
    return ""


def _known(source: str, uid: Uid) -> str:
    told = str(uid.id) if isinstance(uid.id, str | int) else ""
    if len(told) > _LONGEST_UID or told.startswith(_ENCRYPTED):
        return ""
    if uid.atype is not None and _number(uid.atype) >= _FIRST_VENDOR_SPECIFIC:
        return ""
    return of_source(source, told)


def _tell_a_person(uids: list[Uid]) -> bool:
    return any(map(_is_person, uids))


def _is_person(uid: Uid) -> bool:
    """Return whether an id is the same on all devices of its user."""
    return uid.atype is not None and _number(uid.atype) == _PERSON


def _domain(told: Any) -> str:
    return told.strip().rstrip(".").lower() if isinstance(told, str) else ""


def _number(told: Any) -> int:
    """Return a number that may be written as a text, 0 for what is none."""
    if type(told) is int:
        return told
    if isinstance(told, str):
        return int(told) if told.isascii() and told.isdecimal() and len(told) < 10 else 0
    return int(told) if isinstance(told, float) and abs(told) < 2**31 else 0
