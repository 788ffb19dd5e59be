"""Who changed what, when: the audit trail, field by field."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from adctl.control.drafts import (
    AdvertiserDraft,
    CampaignDraft,
    CreativeDraft,
    FieldChange,
    HistoryEntry,
)
from adctl.control.lookup import find_advertiser, find_campaign, find_creative
from adctl.control.plane import ControlPlane, reading
from adctl.stores.postgres import load_queries
from adctl.stores.tables import psycopg_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_queries = load_queries("queries/control_documents.sql")
# As they stand in the forms.
_PLACES = {
    field: place
    for draft in (AdvertiserDraft, CampaignDraft, CreativeDraft)
    for place, field in enumerate(draft.__struct_fields__)
}
_INSTANTS = ("start", "end")
_FIND: dict[str, Callable[..., Any]] = {
    "advertiser": find_advertiser,
    "campaign": find_campaign,
    "creative": find_creative,
}


def history(
    plane: ControlPlane, noun: Literal["advertiser", "campaign", "creative"], ref: int | str
) -> list[HistoryEntry]:
    """Return every accepted change, oldest first. Raises NotFoundError.

    A campaign's tells of its creatives too, and of its advertiser being paused or resumed.
    """
    with reading(plane) as session:
        row = _FIND[noun](session, ref)
        entries = _queries.history(psycopg_of(session), entity=noun, entity_id=row.id)
        return [
            HistoryEntry(number, at, actor, entity, entity_id, action, _changes(before, after))
            for number, at, actor, entity, entity_id, action, before, after in entries
        ]


def _changes(
    before: Mapping[str, object] | None, after: Mapping[str, object] | None
) -> list[FieldChange]:
    old, new = dict(_flat(before or {})), dict(_flat(after or {}))
    # PostgreSQL keeps them in an order of its own.
    fields = sorted({*old, *new}, key=lambda field: (_PLACES.get(field.split(".")[0], 0), field))
    return [
        FieldChange(field, old.get(field), new.get(field))
        for field in fields
        if not _is_same(field, old.get(field), new.get(field))
    ]


def _is_same(field: str, before: object, after: object) -> bool:
    if field in _INSTANTS and isinstance(before, str) and isinstance(after, str):
        # A campaign's times are kept in its zone, and are the same when that changes.
        return datetime.fromisoformat(before) == datetime.fromisoformat(after)
    return before == after


def _flat(fields: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in fields.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
