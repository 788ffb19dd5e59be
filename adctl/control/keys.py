"""What can be done to keys: each verifies before it signs, and outlives what it has signed."""

from __future__ import annotations

import re
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple, overload

from adctl.control.key_lives import (
    PixelKey,
    longest_life,
    note_keys,
    read_pixel_keys,
    read_signing_keys,
)
from adctl.control.lookup import find_advertiser
from adctl.control.plane import open_plane, reading
from adctl.delivery.signing_keys import KeyHolder, fingerprint, in_use
from adctl.errors import Fault, FaultyInputError
from adctl.stores import secrets
from adctl.stores.endpoints import resolve_redis
from adctl.stores.key_holders import KeyHolders
from adctl.stores.redis import connect
from adctl.stores.tables import psycopg_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import psycopg
    from sqlmodel import Session

    from adctl.config import Settings
    from adctl.control.key_lives import SigningKey
    from adctl.control.plane import ControlPlane
    from adctl.stores.key_folder import KeyFolder

# Workers tell every two seconds: so long after Redis lost its memory it knows of all again.
_TOLD_AGAIN_SEC = 3.0
_LOOK_SEC = 0.25

_ID = re.compile(r"(?:([0-9]{1,10})\.)?p?([0-9]{1,5})", re.ASCII)


class KeyView(NamedTuple):
    """A key, as shown; never the key itself.

    ``state`` is ``verifies`` (it signs nothing, and never has), ``signs``, or ``retiring`` (another
    signs in its place). ``may_retire_at`` is None of the one that signs. ``unknown_to`` are daemons
    that would refuse what it signs.
    """

    id: str
    kind: str
    owner: str
    state: str
    created_at: datetime
    signs_since: datetime | None
    may_retire_at: datetime | None
    unknown_to: tuple[str, ...] = ()


class Keyring(NamedTuple):
    """The signing keys in force here, and who runs with which."""

    held: dict[int, str]
    """Id → fingerprint of the keys of this configuration, the one that signs first."""
    holders: tuple[KeyHolder, ...]
    now_ms: int

    @property
    def signs_with(self) -> int:
        """The id of the key that is to sign; 0 where there is none here."""
        return next(iter(self.held), 0)

    def lacking(self, key_id: int, mark: str) -> list[KeyHolder]:
        """Return who verifies and does not hold that key."""
        return [one for one in self.holders if one.verifies and not one.knows(key_id, mark)]

    def signing(self, key_id: int, mark: str) -> list[KeyHolder]:
        """Return who signs with that key now."""
        return [one for one in self.holders if one.signs_with == key_id and one.knows(key_id, mark)]

    def told(self, holder: KeyHolder) -> str:
        """Return a holder's name, and if so since when it has been silent."""
        if not holder.silent(self.now_ms):
            return holder.name
        return f"{holder.name}, silent for {(self.now_ms - holder.told_ms) // 1000} s"

    def troubles(self) -> list[str]:
        """Return in words who would refuse what is signed, or is to be."""
        signed = {(one.signs_with, one.holds.get(one.signs_with, "")) for one in self.holders}
        if self.held:
            signed.add((self.signs_with, self.held[self.signs_with]))
        return [
            f"key {key_id} signs, or is to, and {self.told(one)} does not know it"
            for key_id, mark in sorted(signed)
            if key_id
            for one in self.lacking(key_id, mark)
        ]

    @property
    def behind(self) -> timedelta:
        """How far the slowest clock is behind Redis': there, what was signed counts longer."""
        late_ms = [one.told_ms - one.clock_ms for one in self.holders if one.verifies]
        return timedelta(milliseconds=max([0, *late_ms]))


class KeyDesk:
    """Where keys are looked at and changed. Raises StoreUnavailableError."""

    def __init__(
        self,
        settings: Settings,
        plane: ControlPlane,
        holders: KeyHolders,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.plane = plane
        self.holders = holders
        self._settings = settings
        self._sleep = sleep

    @property
    def folder(self) -> KeyFolder | None:
        """Where the signing keys are kept; None where they stand in the configuration."""
        configured = secrets.are_configured(self._settings)
        return None if configured else secrets.key_folder(self._settings)

    @property
    def longest(self) -> timedelta:
        """How long what was signed may come."""
        return longest_life(self._settings)

    def keyring(self, *, patient: bool = False) -> Keyring:
        """Return the keys in force here and who holds which, those who may be cut off included.

        A ``patient`` one waits where nobody who verifies is to be seen: a Redis that has just lost
        its memory is told again within seconds.
        """
        deadline = time.monotonic() + (_TOLD_AGAIN_SEC if patient else 0)
        while True:
            found = read_keyring(self._settings, self.holders)
            if any(one.verifies for one in found.holders) or time.monotonic() >= deadline:
                return found
            self._sleep(_LOOK_SEC)

    def take_turn(self, conn: psycopg.Connection, keyring: Keyring) -> None:
        """Keep others from changing keys until the transaction ends; note what has been told."""
        note_keys(conn, keyring.holders, self.holders.uses_since(0), keyring.held)

    def listing(self, kind: str | None = None, advertiser: str | None = None) -> list[KeyView]:
        """Return every key that is not retired: those that sign tokens, then advertisers'.

        Only those of one ``kind``; with ``advertiser`` only its own. Raises NotFoundError.
        """
        keyring = self.keyring()
        with reading(self.plane) as session:
            # Only to see it: what is noted here is not kept.
            self.take_turn(psycopg_of(session), keyring)
            shown: list[KeyView] = []
            if kind != "pixel" and advertiser is None:
                rows = read_signing_keys(psycopg_of(session))
                shown += [self.signing_view(row, keyring) for row in rows if _lives(row, keyring)]
            if kind != "signing":
                advertiser_id = find_advertiser(session, advertiser).id if advertiser else None
                rows_of = read_pixel_keys(psycopg_of(session), advertiser_id)
                shown += [pixel_view(row, self.longest) for row in rows_of]
            session.rollback()
        return shown

    def read_id(
        self, session: Session, text: str, advertiser: str | None
    ) -> tuple[int | None, int]:
        """Return whose key ``text`` names (None: a signing key), and its number.

        ``2`` is a signing key, ``7.p2`` the second key of advertiser 7; with ``advertiser`` ``2``
        and ``p2`` are its own. Raises FaultyInputError, NotFoundError.
        """
        owner = find_advertiser(session, advertiser).id if advertiser is not None else None
        parts = _ID.fullmatch(text)
        whose = int(parts[1]) if parts and parts[1] else owner
        pixel = whose is not None
        if parts is None or (not pixel and "p" in text) or (parts[1] and "p" not in text):
            expected = "an id that `adctl key list` shows, such as 2 or 7.p2"
            raise FaultyInputError("the key", [Fault("id", text[:40], expected)])
        if owner is not None and whose != owner:
            expected = f"a key of advertiser {owner}"
            raise FaultyInputError("the key", [Fault("id", text, expected)])
        if pixel and owner is None:
            find_advertiser(session, whose or 0)
        return whose, int(parts[2])

    def signing_view(self, row: SigningKey, keyring: Keyring) -> KeyView:
        """Return a signing key, as shown."""
        signs = keyring.held.get(row.id) == row.fingerprint and keyring.signs_with == row.id
        state = "signs" if signs else "retiring" if row.signs_since else "verifies"
        made_at = self.folder.made_at(row.id) if self.folder else None
        return KeyView(
            id=str(row.id),
            kind="signing",
            owner="",
            state=state,
            created_at=_in_seconds(min(filter(None, (made_at, row.created_at)))),
            signs_since=_in_seconds(row.signs_since),
            may_retire_at=None if signs else self.may_retire_at(row, keyring),
            unknown_to=tuple(one.name for one in keyring.lacking(row.id, row.fingerprint)),
        )

    def may_retire_at(self, row: SigningKey, keyring: Keyring) -> datetime:
        """Return when nothing that a signing key signed counts any more."""
        over_at = row.over_at(self.longest)
        if over_at is None:
            return _in_seconds(row.created_at)
        return _up_to_seconds(over_at + keyring.behind)


def read_keyring(settings: Settings, holders: KeyHolders) -> Keyring:
    """Return the keys in force here and who holds which. Raises StoreUnavailableError."""
    now_ms = holders.now_ms()
    found = in_use(holders.all(now_ms), now_ms)
    keys = secrets.read_signing_keys(settings)
    held = {key_id: fingerprint(key) for key_id, key in keys.items()}
    return Keyring(held, tuple(found), now_ms)


def pixel_view(row: PixelKey, longest: timedelta) -> KeyView:
    """Return an advertiser's key, as shown."""
    state = "signs" if row.signs else "retiring" if row.signs_since else "verifies"
    over_at = row.over_at(longest)
    may_at = _in_seconds(row.created_at) if over_at is None else _up_to_seconds(over_at)
    return KeyView(
        id=row.name,
        kind="pixel",
        owner=row.advertiser,
        state=state,
        created_at=_in_seconds(row.created_at),
        signs_since=_in_seconds(row.signs_since),
        may_retire_at=None if row.signs else may_at,
    )


@contextmanager
def open_key_desk(settings: Settings) -> Iterator[KeyDesk]:
    """Open the desk on the stores of ``settings``, and hang up at the end."""
    with (
        open_plane(settings) as plane,
        connect(resolve_redis(settings), settings.redis) as client,
    ):
        yield KeyDesk(settings, plane, KeyHolders(client))


def _lives(row: SigningKey, keyring: Keyring) -> bool:
    """Whether anybody has that key; one that only was seen somewhere else once is no more."""
    here = keyring.held.get(row.id) == row.fingerprint
    return here or any(one.knows(row.id, row.fingerprint) for one in keyring.holders)


def _up_to_seconds(at: datetime) -> datetime:
    return (at + timedelta(microseconds=999_999)).astimezone(UTC).replace(microsecond=0)


@overload
def _in_seconds(at: datetime) -> datetime: ...


@overload
def _in_seconds(at: None) -> None: ...


def _in_seconds(at: datetime | None) -> datetime | None:
    return None if at is None else at.astimezone(UTC).replace(microsecond=0)
