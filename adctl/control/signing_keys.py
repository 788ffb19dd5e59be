"""Signing keys made, promoted and retired: nothing that is signed is ever refused for it."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from adctl.config_keys import KEY_BYTES, MAX_KEY_ID
from adctl.control.key_lives import SigningKey, read_signing_keys
from adctl.control.keys import Keyring
from adctl.control.plane import change
from adctl.delivery.signing_keys import fingerprint
from adctl.errors import ConflictError, NotFoundError
from adctl.stores.postgres import load_queries
from adctl.stores.tables import psycopg_of

if TYPE_CHECKING:
    import psycopg

    from adctl.control.keys import KeyDesk, KeyView
    from adctl.control.plane import Change, Outcome
    from adctl.delivery.signing_keys import KeyHolder

_queries = load_queries("queries/signing_keys.sql")

_ENTITY = "key"
_BY_HAND = "keys stand in signing.keys, which is yours to change, on every host"


class Found(NamedTuple):
    """A signing key, and who else there is."""

    row: SigningKey
    keyring: Keyring

    @property
    def signs(self) -> bool:
        """Whether it is the one that is to sign."""
        return self.keyring.signs_with == self.row.id


def add(desk: KeyDesk, actor: str, *, dry_run: bool = False) -> Outcome[KeyView]:
    """Make a signing key that verifies only. Raises ConflictError."""
    if desk.folder is None:
        raise ConflictError(
            f"{_BY_HAND}: put a new one behind the others (ID:SECRET; `openssl rand -hex 32` makes "
            "a SECRET), and reload the daemons in any order; it verifies, and the first one, or "
            "signing.signs_with, goes on signing"
        )
    keyring = desk.keyring(patient=True)
    if not keyring.held and not dry_run:
        _require_at_home(keyring)
        desk.folder.make_missing()
        keyring = desk.keyring()
    with change(desk.plane, actor, dry_run=dry_run) as making:
        conn = psycopg_of(making.session)
        desk.take_turn(conn, keyring)
        key_id, key = _free_id(conn, keyring), secrets.token_bytes(KEY_BYTES)
        mark = fingerprint(key)
        _queries.add(conn, key_id=key_id, fingerprint=mark, now=making.now)
        making.record(_ENTITY, key_id, "add", None, {"state": "verifies", "fingerprint": mark})
        if not dry_run:
            desk.folder.add(key_id, key)
        view = desk.signing_view(_row(conn, key_id, mark), keyring)
    return making.outcome(view)


def promote(
    desk: KeyDesk, actor: str, key_id: int, *, without_silent: bool = False, dry_run: bool = False
) -> Outcome[KeyView]:
    """Have a key sign from now on.

    Raises ConflictError while somebody who verifies does not know it, which ``without_silent``
    leaves out of account where he has told nothing for a while; NotFoundError.
    """
    keyring = desk.keyring(patient=True)
    with change(desk.plane, actor, dry_run=dry_run) as making:
        conn = psycopg_of(making.session)
        desk.take_turn(conn, keyring)
        found = _find(conn, key_id, keyring)
        gone = _require_known(found, without_silent=without_silent)
        if not dry_run:
            # Who signs would go on waiting for them.
            for one in gone:
                desk.holders.leave(one)
        if not found.signs and desk.folder is None:
            making.notices.append(
                f"{_BY_HAND}: every daemon that runs knows key {key_id}, so set signing.signs_with "
                f"= {key_id} and reload them, in any order"
            )
        elif not found.signs and desk.folder is not None:
            _promote(making, conn, found)
            if not dry_run:
                desk.folder.promote(key_id)
                keyring = desk.keyring()
        view = desk.signing_view(_row(conn, key_id, found.row.fingerprint), keyring)
    return making.outcome(view)


def retire(
    desk: KeyDesk, actor: str, key_id: int, *, force: bool = False, dry_run: bool = False
) -> Outcome[KeyView]:
    """Remove a key that signs no more, when nothing that it signed counts any more.

    With ``force`` while it still may: all of that is then refused as forged. Raises ConflictError
    that says until when, NotFoundError.
    """
    keyring = desk.keyring(patient=True)
    with change(desk.plane, actor, dry_run=dry_run) as making:
        conn = psycopg_of(making.session)
        desk.take_turn(conn, keyring)
        found = _find(conn, key_id, keyring)
        _require_over(desk, found, making.now, force=force)
        view = desk.signing_view(found.row, keyring)
        if desk.folder is None:
            making.notices.append(f"{_BY_HAND}: take {key_id} out of it, and reload the daemons")
        else:
            mark = found.row.fingerprint
            _queries.retire(conn, key_id=key_id, fingerprint=mark, now=making.now)
            before = {"state": view.state, "fingerprint": mark}
            making.record(_ENTITY, key_id, "retire", before, {"state": "retired", "forced": force})
            if not dry_run:
                desk.folder.remove(key_id)
    return making.outcome(view)


def _promote(making: Change, conn: psycopg.Connection, found: Found) -> None:
    key_id, mark, keyring = found.row.id, found.row.fingerprint, found.keyring
    before = keyring.signs_with
    if before:
        _queries.superseded(conn, key_id=before, fingerprint=keyring.held[before], now=making.now)
    _queries.promote(conn, key_id=key_id, fingerprint=mark, now=making.now)
    making.record(_ENTITY, key_id, "promote", {"signs_with": before}, {"signs_with": key_id})


def _require_at_home(keyring: Keyring) -> None:
    """Raise where daemons have keys and this state folder has none: it is not theirs."""
    if keyring.holders:
        raise ConflictError(
            f"this state folder has no signing keys, and {keyring.holders[0].name} has: make the "
            "key where the daemons' state folder is"
        )


def _require_known(found: Found, *, without_silent: bool) -> list[KeyHolder]:
    """Return who does not know a key and is gone; raise if anybody else does not know it."""
    row, keyring = found.row, found.keyring
    ignorant = keyring.lacking(row.id, row.fingerprint)
    gone = [one for one in ignorant if without_silent and one.silent(keyring.now_ms)]
    lacking = [one for one in ignorant if one not in gone]
    if not lacking:
        return gone
    lines = "\n".join(f"  {keyring.told(one)}" for one in lacking)
    hint = "give it to them and reload them (SIGHUP), or wait until they have read it"
    if any(one.silent(keyring.now_ms) for one in lacking):
        hint += "; who is silent may still answer, cut off from Redis: if it is gone, --gone"
    raise ConflictError(
        f"key {row.id} cannot sign yet: these verify and do not know it\n{lines}\n{hint}"
    )


def _require_over(desk: KeyDesk, found: Found, now: datetime, *, force: bool) -> None:
    row, keyring = found.row, found.keyring
    if found.signs:
        raise ConflictError(f"key {row.id} signs: promote another one first")
    signing = keyring.signing(row.id, row.fingerprint)
    if signing and not force:
        lines = "\n".join(f"  {keyring.told(one)}" for one in signing)
        raise ConflictError(
            f"key {row.id} cannot be retired: these still sign with it, until they have read or "
            f"been given (SIGHUP) what signs now\n{lines}"
        )
    over_at = desk.may_retire_at(row, keyring)
    if over_at > now and not force:
        raise ConflictError(
            f"key {row.id} cannot be retired before {said(over_at)}: {_because(row)}"
        )


def _because(row: SigningKey) -> str:
    if row.last_signed_at is None:
        reason = (
            f"it has been there since {said(row.created_at)} at least, and what it signed before "
            "that nobody knows"
        )
    else:
        reason = (
            f"it last signed at {said(row.last_signed_at)}, and the tokens and click ids that it "
            "signed count for that long (tracker.token_ttl_sec, conversions.click_window_sec)"
        )
    if row.pixel_used_at is not None:
        reason += (
            f"; an advertiser's key of the older way, signed with it, was used at "
            f"{said(row.pixel_used_at)}: `adctl advertiser pixel` shows the one to replace it by"
        )
    return reason


def said(at: datetime) -> str:
    """Return a moment as people read it, to the second that begins after it."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _find(conn: psycopg.Connection, key_id: int, keyring: Keyring) -> Found:
    mark = keyring.held.get(key_id)
    if mark is None:
        having = sorted({one.name for one in keyring.holders if key_id in one.holds})
        hint = f"; {having[0]} has one, so look there" if having else ""
        raise NotFoundError(f"there is no signing key {key_id} here{hint}")
    return Found(_row(conn, key_id, mark), keyring)


def _row(conn: psycopg.Connection, key_id: int, mark: str) -> SigningKey:
    for row in read_signing_keys(conn):
        if (row.id, row.fingerprint) == (key_id, mark):
            return row
    raise NotFoundError(f"signing key {key_id} was retired before")


def _free_id(conn: psycopg.Connection, keyring: Keyring) -> int:
    """Return an id that no key has: a new one as long as there are any."""
    used = {*keyring.held, *(key_id for one in keyring.holders for key_id in one.holds)}
    ever = used | {int(row[0]) for row in _queries.every(conn)}
    following = max(ever, default=0) + 1
    if following <= MAX_KEY_ID:
        return following
    free = set(range(1, MAX_KEY_ID + 1)) - used - {row.id for row in read_signing_keys(conn)}
    if not free:
        raise ConflictError(f"there are {MAX_KEY_ID} keys already: retire some first")
    return min(free)
