"""Finding what was named: by id, or by a name only one has.

A number is an id, and may be a name as well: where it is both, of two rows, ``id:12`` and
``name:12`` say which. Over HTTP ids are numbers, and nothing else.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, TypeVar

from sqlmodel import col, select

from adctl.errors import ConflictError, NotFoundError
from adctl.models import Status
from adctl.stores.tables import AdvertiserRow, CampaignRow, CreativeRow

if TYPE_CHECKING:
    from sqlmodel import Session

Row = TypeVar("Row", AdvertiserRow, CampaignRow, CreativeRow)

# PostgreSQL's integer.
_HIGHEST_ID = 2**31 - 1
_NAME_LENGTH = 200
# Among how many one that is nearly right is looked for.
_MOST_NAMES = 5000


def find_advertiser(session: Session, ref: int | str, *, lock: bool = False) -> AdvertiserRow:
    """Return the advertiser that ``ref`` names; with ``lock``, until the transaction ends.

    Raises NotFoundError, as do the two below.
    """
    return _find(session, AdvertiserRow, "advertiser", ref, lock=lock)


def find_campaign(session: Session, ref: int | str, *, lock: bool = False) -> CampaignRow:
    """Return the campaign that ``ref`` names. Raises ConflictError if several have the name."""
    return _find(session, CampaignRow, "campaign", ref, lock=lock)


def find_creative(session: Session, ref: int | str, *, lock: bool = False) -> CreativeRow:
    """Return the creative that ``ref`` names. Raises ConflictError if several have the name."""
    return _find(session, CreativeRow, "creative", ref, lock=lock)


def require_live(noun: str, row: AdvertiserRow | CampaignRow | CreativeRow) -> None:
    """Raise ConflictError if ``row`` is archived."""
    if row.status == Status.ARCHIVED:
        raise ConflictError(f"{noun} {row.id} ({row.name}) is archived, which is for good")


def _find(session: Session, table: type[Row], noun: str, ref: int | str, *, lock: bool) -> Row:
    by_id, name = _readings(ref)
    found = [] if by_id is None else _by_id(session, table, by_id, lock=lock)
    named = [] if name is None else _by_name(session, table, name, lock=lock)
    others = [row for row in named if row.id not in {row.id for row in found}]
    if found and others:
        raise ConflictError(
            f"{ref} is the id of {noun} {found[0].name} and the name of {noun} {others[0].id}: "
            f"say which with --id or --name, or as id:{ref} or name:{ref}"
        )
    if len(named) > 1:
        ids = ", ".join(str(row.id) for row in named)
        raise ConflictError(f"{len(named)} {noun}s are named {name}: say which by id ({ids})")
    for row in found or named:
        return row
    raise NotFoundError(f"there is no {noun} {ref}{_meant(session, table, name)}")


def _readings(ref: int | str) -> tuple[int | None, str | None]:
    """Return what ``ref`` may be: an id, a name, or both, unless it says which."""
    if isinstance(ref, int):
        return ref, None
    kind, _, rest = ref.partition(":")
    if kind == "name":
        return None, rest
    if kind == "id":
        return (int(rest) if _is_id(rest) else None), None
    return (int(ref) if _is_id(ref) else None), ref


def _by_id(session: Session, table: type[Row], number: int, *, lock: bool) -> list[Row]:
    if not 0 < number <= _HIGHEST_ID:
        return []
    by_id = select(table).where(col(table.id) == number)
    return list(session.exec(by_id.with_for_update() if lock else by_id))


def _by_name(session: Session, table: type[Row], name: str, *, lock: bool) -> list[Row]:
    if "\0" in name or not name.isprintable():
        return []
    named = select(table).where(col(table.name) == name).order_by(col(table.id))
    rows = list(session.exec(named.with_for_update() if lock else named))
    live = [row for row in rows if row.status != Status.ARCHIVED]
    return live or rows


def _meant(session: Session, table: type[Row], name: str | None) -> str:
    """Return ``; did you mean X?`` if something has nearly that name."""
    if name is None:
        return ""
    newest = select(table.name).order_by(col(table.id).desc()).limit(_MOST_NAMES)
    names = {known.lower(): known for known in session.exec(newest)}
    close = get_close_matches(name[:_NAME_LENGTH].lower(), names, n=1)
    return f"; did you mean {names[close[0]]}?" if close else ""


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= len(str(_HIGHEST_ID))
