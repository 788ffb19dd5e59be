"""How long keys live: what PostgreSQL knows of them, and until when what they signed may come."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from adctl.delivery.advertiser_keys import name_of
from adctl.stores.postgres import load_queries, postgres_errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import psycopg
    from psycopg_pool import ConnectionPool

    from adctl.config import Settings
    from adctl.delivery.signing_keys import KeyHolder
    from adctl.stores.key_holders import KeyHolders, KeyUse

_signing = load_queries("queries/signing_keys.sql")
_pixels = load_queries("queries/advertiser_keys.sql")

_KEYS_LOCK = 7_237_443
_ON_THE_WAY_MS = 60_000
# PostgreSQL's smallint and integer.
_HIGHEST_NUMBER, _HIGHEST_ID = 2**15 - 1, 2**31 - 1


class SigningKey(NamedTuple):
    """A row of ``signing_key``."""

    id: int
    fingerprint: str
    added: bool
    created_at: datetime
    signs_since: datetime | None
    last_signed_at: datetime | None
    pixel_used_at: datetime | None
    retired_at: datetime | None

    def over_at(self, longest: timedelta) -> datetime | None:
        """Return when nothing that it signed counts any more; None if it never signed anything.

        Of one that was not made by `adctl key add`, nobody knows what it signed before it was first
        seen.
        """
        unknown = None if self.added else self.created_at
        known = [at for at in (self.last_signed_at, self.pixel_used_at, unknown) if at]
        return max(known) + longest if known else None


class PixelKey(NamedTuple):
    """An advertiser's key that is not retired, by a row of ``advertiser_key`` or without one."""

    advertiser_id: int
    advertiser: str
    number: int
    created_at: datetime
    signs_since: datetime | None
    signed_until: datetime | None
    used_at: datetime | None

    @property
    def name(self) -> str:
        """What it is called."""
        return name_of(self.advertiser_id, self.number)

    @property
    def signs(self) -> bool:
        """Whether it is the one that is given out."""
        return self.signs_since is not None and self.signed_until is None

    def over_at(self, longest: timedelta) -> datetime | None:
        """Return when nobody is taken to use it any more; None if nobody ever has."""
        known = [at for at in (self.signed_until, self.used_at) if at]
        return max(known) + longest if known else None


def longest_life(settings: Settings) -> timedelta:
    """Return how long what was signed may come: bids' tokens, and after a click its id.

    A page in which nobody has used an advertiser's key for so long has got another.
    """
    windows = max(settings.conversions.windows)
    return timedelta(seconds=max(settings.tracker.token_ttl_sec, windows))


def read_signing_keys(conn: psycopg.Connection) -> list[SigningKey]:
    """Return the signing keys that are not retired, by their ids."""
    rows = [SigningKey(*row) for row in _signing.every(conn)]
    return [row for row in rows if row.retired_at is None]


def read_pixel_keys(conn: psycopg.Connection, advertiser_id: int | None) -> list[PixelKey]:
    """Return the keys of an advertiser (None: of all that are not archived), not those retired."""
    return [PixelKey(*row) for row in _pixels.every(conn, advertiser_id=advertiser_id)]


def signing_number(conn: psycopg.Connection, advertiser_id: int) -> int:
    """Return the number of the key that an advertiser is given."""
    return _pixels.signing_number(conn, advertiser_id=advertiser_id) or 1


def note_keys(
    conn: psycopg.Connection,
    holders: Iterable[KeyHolder],
    uses: Iterable[KeyUse],
    held_here: Mapping[int, str],
) -> None:
    """Write down which signing keys there are (id → fingerprint), and when keys were last used.

    Until the transaction ends nobody else does, or changes keys.
    """
    _signing.take_turn(conn, lock=_KEYS_LOCK)
    seen = {*held_here.items(), *(item for one in holders for item in one.holds.items())}
    if seen:
        ids, fingerprints = zip(*sorted(seen), strict=True)
        _signing.note_seen(conn, ids=list(ids), fingerprints=list(fingerprints))
    told = list(uses)
    _note_signed(conn, [use for use in told if use.fingerprint and use.name.isdecimal()])
    _note_pixels(conn, [use for use in told if not use.fingerprint])


class KeyRecord:
    """Keeps PostgreSQL up to date with what holders of keys tell. For one thread."""

    def __init__(self, pool: ConnectionPool[psycopg.Connection], holders: KeyHolders) -> None:
        self._pool = pool
        self._holders = holders
        self._noted_ms = 0

    def note(self) -> None:
        """Write down what has been told since the last time, and give Redis what it has lost.

        Raises StoreUnavailableError.
        """
        now_ms = self._holders.now_ms()
        uses = self._holders.uses_since(self._noted_ms)
        with postgres_errors("note keys"), self._pool.connection() as conn:
            note_keys(conn, self._holders.all(now_ms), uses, {})
            if self._holders.retired_count() != _pixels.retired_count(conn):
                self._holders.retire([name_of(*row) for row in _pixels.retired(conn)])
        # Uses have the moment they were told at, or a later one, by a clock that is ahead. Some may
        # have been on their way meanwhile.
        self._noted_ms = now_ms - _ON_THE_WAY_MS


def _note_signed(conn: psycopg.Connection, uses: list[KeyUse]) -> None:
    if uses:
        _signing.note_signed(
            conn,
            ids=[int(use.name) for use in uses],
            fingerprints=[use.fingerprint for use in uses],
            at_ms=[use.at_ms for use in uses],
        )


def _note_pixels(conn: psycopg.Connection, uses: list[KeyUse]) -> None:
    own: list[tuple[int, int, int]] = []
    older: list[tuple[int, int]] = []
    for use in uses:
        advertiser, _, number = use.name.partition(".")
        digits = number.removeprefix("p")
        if not (advertiser.isdecimal() and digits.isdecimal()):
            continue
        if number != digits and int(digits) <= _HIGHEST_NUMBER and int(advertiser) <= _HIGHEST_ID:
            own.append((int(advertiser), int(digits), use.at_ms))
        elif number == digits and int(digits) <= _HIGHEST_NUMBER:
            older.append((int(digits), use.at_ms))
    if own:
        advertiser_ids, numbers, at_ms = map(list, zip(*own, strict=True))
        _pixels.note_used(conn, advertiser_ids=advertiser_ids, numbers=numbers, at_ms=at_ms)
    if older:
        ids, at_ms = map(list, zip(*older, strict=True))
        _signing.note_pixels_used(conn, ids=ids, at_ms=at_ms)
