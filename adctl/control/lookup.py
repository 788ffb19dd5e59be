"""Finding what was named: by id, or by a name only one has."""

from __future__ import annotations

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
    number = int(ref) if isinstance(ref, int) or _is_id(ref) else None
    if number is not None and 0 < number <= _HIGHEST_ID:
        by_id = select(table).where(col(table.id) == number)
        row = session.exec(by_id.with_for_update() if lock else by_id).first()
        if row is not None:
            return row
    found = _by_name(session, table, ref, lock=lock) if isinstance(ref, str) else []
    if not found:
        raise NotFoundError(f"there is no {noun} {ref}")
    if len(found) > 1:
        ids = ", ".join(str(row.id) for row in found)
        raise ConflictError(f"{len(found)} {noun}s are named {ref}: say which by id ({ids})")
    return found[0]


def _by_name(session: Session, table: type[Row], name: str, *, lock: bool) -> list[Row]:
    if "\0" in name or not name.isprintable():
        return []
    named = select(table).where(col(table.name) == name).order_by(col(table.id))
    rows = list(session.exec(named.with_for_update() if lock else named))
    live = [row for row in rows if row.status != Status.ARCHIVED]
    return live or rows


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= len(str(_HIGHEST_ID))
