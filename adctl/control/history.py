"""Who changed what, when: the audit trail, field by field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from adctl.control.drafts import FieldChange, HistoryEntry
from adctl.control.lookup import find_advertiser, find_campaign, find_creative
from adctl.control.plane import ControlPlane, reading
from adctl.stores.postgres import load_queries
from adctl.stores.tables import psycopg_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_queries = load_queries("queries/control_documents.sql")
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
    return [
        FieldChange(field, old.get(field), new.get(field))
        for field in dict.fromkeys([*old, *new])
        if old.get(field) != new.get(field)
    ]


def _flat(fields: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in fields.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
