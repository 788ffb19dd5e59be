"""Whose request it is: the first of the sources, in the order of the configuration, with an id.

``user.eids`` holds ids of many makers, and how they came about: signed in, seen, or guessed from
an IP address. A guess is believed last, and only of the maker of the id.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

from adctl.config_identity import DEFAULT_SOURCES, EIDS
from adctl.delivery.user_ids import of_source, read_user_id
from adctl.openrtb.eids import read_eids

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adctl.openrtb import BidRequest, User
    from adctl.openrtb.eids import Eid

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


class _Known(NamedTuple):
    """How a source of ``user.eids`` knows a user; sorts before those that are worth less."""

    no_person: bool
    name: str


def user_id_of(request: BidRequest, policy: IdentityPolicy) -> str:
    """Return by what the request's user is known, '' for nothing; as read_user_id has it."""
    user, device = request.user, request.device
    seen: dict[str, _Known] | None = None
    guessed: dict[str, _Known] = {}
    for source in policy.sources:
        if source == "buyeruid":
            told = user.buyeruid if user else None
        elif source == "user.id":
            told = user.id if user else None
        elif source == "ifa":
            told = device.ifa if device else None
        else:
            if seen is None:
                seen, guessed = _eids_of(user, policy) if user else ({}, {})
            if known := _of(source, seen):
                return known
            continue
        if told and (known := read_user_id(told)):
            return known
    if guessed:
        return next(filter(None, (_of(source, guessed) for source in policy.sources)), "")
    return ""


def _of(source: str, known: dict[str, _Known]) -> str:
    if not known:
        return ""
    if source == EIDS:
        return min(known.values()).name
    found = known.get(source.removeprefix(_OF_EIDS))
    return found.name if found else ""


def _eids_of(user: User, policy: IdentityPolicy) -> tuple[dict[str, _Known], dict[str, _Known]]:
    """Return what ``user.eids`` says, by source: what was seen, and what was guessed.

    2.5's place counts for sources that the newer one has nothing of.
    """
    seen: dict[str, _Known] = {}
    guessed: dict[str, _Known] = {}
    for place in (user.eids, user.ext.eids if user.ext else None):
        if not place:
            continue
        uids: dict[tuple[str, bool], set[tuple[str, bool]]] = {}
        for eid in read_eids(place):
            source = _domain(eid.source)
            guess = _number(eid.mm) == _INFERRED
            if source and _is_believed(eid, source, policy, guess=guess):
                uids.setdefault((source, guess), set()).update(_uids(eid, source))
        for (source, guess), known_by in uids.items():
            if known := _one_of(known_by):
                (guessed if guess else seen).setdefault(source, known)
    return seen, guessed


def _is_believed(eid: Eid, source: str, policy: IdentityPolicy, *, guess: bool) -> bool:
    if policy.inserters and _domain(eid.inserter) not in policy.inserters:
        return False
    if not guess or policy.inferred == "always":
        return True
    # Where nobody is named, it is the id's own maker.
    return policy.inferred == "by_source" and (_domain(eid.matcher) or source) == source


def _uids(eid: Eid, source: str) -> Iterator[tuple[str, bool]]:
    """Yield by what ``eid`` knows the user, and whether that is the same on all their devices."""
    for uid in eid.uids:
        told = str(uid.id) if isinstance(uid.id, str | int) else ""
        atype = _number(uid.atype)
        if (
            0 < len(told) <= _LONGEST_UID
            and atype < _FIRST_VENDOR_SPECIFIC
            and not told.startswith(_ENCRYPTED)
            and (known := of_source(source, told))
        ):
            yield known, atype == _PERSON


def _one_of(known_by: set[tuple[str, bool]]) -> _Known | None:
    """Return the one id there is: the only one of a person, else the only one; None for neither."""
    persons = [name for name, of_person in known_by if of_person]
    if len(persons) == 1:
        return _Known(no_person=False, name=persons[0])
    if len(known_by) == 1:
        [(name, _)] = known_by
        return _Known(no_person=True, name=name)
    return None


def _domain(told: Any) -> str:
    return told.strip().rstrip(".").lower() if isinstance(told, str) else ""


def _number(told: Any) -> int:
    """Return a number that may be written as a text, 0 for what is none."""
    if isinstance(told, str):
        return int(told) if told.isascii() and told.isdecimal() and len(told) < 10 else 0
    return int(told) if isinstance(told, int | float) and abs(told) < 2**31 else 0
