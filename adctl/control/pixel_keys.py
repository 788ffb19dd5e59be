"""Advertisers' pixel keys made, promoted and retired.

Each verifies wherever it is told from the moment it is made, because it proves itself. What is
promoted is the one that an advertiser is given; those before it count until they are retired.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adctl.control.key_lives import read_pixel_keys, signing_number
from adctl.control.keys import pixel_view
from adctl.control.lookup import find_advertiser
from adctl.control.plane import change, reading
from adctl.control.signing_keys import said
from adctl.delivery.advertiser_keys import AdvertiserKeys, name_of
from adctl.errors import ConflictError, NotFoundError, StoreUnavailableError
from adctl.stores.postgres import load_queries
from adctl.stores.tables import psycopg_of

if TYPE_CHECKING:
    from datetime import datetime

    import psycopg

    from adctl.control.key_lives import PixelKey
    from adctl.control.keys import KeyDesk, KeyView
    from adctl.control.plane import ControlPlane, Outcome

_queries = load_queries("queries/advertiser_keys.sql")

_ENTITY = "advertiser"
_NOT_TOLD = "retired; trackers will hear of it when Redis is back"
# PostgreSQL's smallint.
_HIGHEST_NUMBER = 32_767


def shown_key(plane: ControlPlane, user_key: bytes, ref: int | str) -> tuple[int, str]:
    """Return an advertiser's id, and the key that it is to report with. Raises NotFoundError."""
    with reading(plane) as session:
        advertiser_id = find_advertiser(session, ref).id
        number = signing_number(psycopg_of(session), advertiser_id)
    return advertiser_id, AdvertiserKeys(user_key).key_of(advertiser_id, number)


def add(desk: KeyDesk, actor: str, ref: int | str, *, dry_run: bool = False) -> Outcome[KeyView]:
    """Make an advertiser another key. Raises NotFoundError, ConflictError."""
    keyring = desk.keyring()
    with change(desk.plane, actor, dry_run=dry_run) as making:
        advertiser_id = find_advertiser(making.session, ref, lock=True).id
        conn = psycopg_of(making.session)
        desk.take_turn(conn, keyring)
        _queries.first(conn, advertiser_id=advertiser_id)
        number = _queries.next_number(conn, advertiser_id=advertiser_id)
        if number > _HIGHEST_NUMBER:
            raise ConflictError(f"advertiser {advertiser_id} has had {number - 1} keys already")
        _queries.add(conn, advertiser_id=advertiser_id, number=number, now=making.now)
        row = _find(conn, advertiser_id, number)
        making.record(_ENTITY, advertiser_id, "key.add", None, {"key": row.name})
        view = pixel_view(row, desk.longest)
    return making.outcome(view)


def promote(
    desk: KeyDesk, actor: str, advertiser_id: int, number: int, *, dry_run: bool = False
) -> Outcome[KeyView]:
    """Have an advertiser given this key from now on. Raises NotFoundError."""
    keyring = desk.keyring()
    with change(desk.plane, actor, dry_run=dry_run) as making:
        find_advertiser(making.session, advertiser_id, lock=True)
        conn = psycopg_of(making.session)
        desk.take_turn(conn, keyring)
        _queries.first(conn, advertiser_id=advertiser_id)
        row = _find(conn, advertiser_id, number)
        if not row.signs:
            before = name_of(advertiser_id, signing_number(conn, advertiser_id))
            _queries.supersede(conn, advertiser_id=advertiser_id, now=making.now)
            _queries.promote(conn, advertiser_id=advertiser_id, number=number, now=making.now)
            making.record(_ENTITY, advertiser_id, "key.promote", {"key": before}, {"key": row.name})
        view = pixel_view(_find(conn, advertiser_id, number), desk.longest)
    return making.outcome(view)


def retire(
    desk: KeyDesk,
    actor: str,
    advertiser_id: int,
    number: int,
    *,
    force: bool = False,
    dry_run: bool = False,
) -> Outcome[KeyView]:
    """Have a key not count any more, once nobody uses it; with ``force`` though somebody may.

    Trackers hear of it within seconds. Raises ConflictError that says until when, NotFoundError.
    """
    keyring = desk.keyring()
    with change(desk.plane, actor, dry_run=dry_run) as making:
        find_advertiser(making.session, advertiser_id, lock=True)
        conn = psycopg_of(making.session)
        desk.take_turn(conn, keyring)
        _queries.first(conn, advertiser_id=advertiser_id)
        row = _find(conn, advertiser_id, number)
        view = pixel_view(row, desk.longest)
        _require_over(row, view.may_retire_at, making.now, force=force)
        _queries.retire(conn, advertiser_id=advertiser_id, number=number, now=making.now)
        after = {"state": "retired", "forced": force}
        making.record(_ENTITY, advertiser_id, "key.retire", {"key": row.name}, after)
    if not dry_run:
        try:
            desk.holders.retire([row.name])
        except StoreUnavailableError:
            making.notices.append(_NOT_TOLD)
    return making.outcome(view)


def _require_over(row: PixelKey, over_at: datetime | None, now: datetime, *, force: bool) -> None:
    if over_at is None:
        raise ConflictError(f"key {row.name} is the one its advertiser is given: promote another")
    if over_at > now and not force:
        used = f"it was last used at {said(row.used_at)}" if row.used_at else "it was given out"
        raise ConflictError(
            f"key {row.name} cannot be retired before {said(over_at)}: {used}, and a page that has "
            "it may be opened again until then (conversions); --force retires it all the same"
        )


def _find(conn: psycopg.Connection, advertiser_id: int, number: int) -> PixelKey:
    for row in read_pixel_keys(conn, advertiser_id):
        if row.number == number:
            return row
    name = name_of(advertiser_id, number)
    raise NotFoundError(f"there is no key {name}, or it was retired")
