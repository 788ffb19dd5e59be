"""What can be done to creatives. A change to one is a change to its campaign's document."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlmodel import col, select

from adctl.control.creative_input import (
    CREATIVE_DEFAULTS,
    CREATIVE_FIELDS,
    creative_notices,
    read_creative,
)
from adctl.control.fields import FieldReader
from adctl.control.lookup import find_campaign, find_creative, require_live
from adctl.control.merging import merge
from adctl.control.plane import Change, ControlPlane, Outcome, change, reading
from adctl.control.statuses import ACTION_OF, change_status
from adctl.control.views import creative_fields, creative_view
from adctl.models import Status
from adctl.stores.tables import CreativeRow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adctl.control.drafts import CreativeView

_FIXED = {
    "status": "no status: pause, resume and archive change it",
    "campaign": "no campaign: a creative stays with the one it was created for",
}


def create(
    plane: ControlPlane,
    actor: str,
    campaign: int | str,
    fields: Mapping[str, object],
    *,
    dry_run: bool = False,
) -> Outcome[CreativeView]:
    """Create a creative of ``campaign``, active unless its ``status`` is ``paused``.

    ``fields`` are those of CreativeDraft. Raises FaultyInputError with every fault, NotFoundError,
    ConflictError if the campaign is archived or has a creative of that name.
    """
    with change(plane, actor, dry_run=dry_run) as making:
        owner = find_campaign(making.session, campaign, lock=True)
        require_live("campaign", owner)
        reader = FieldReader(merge(CREATIVE_DEFAULTS | {"status": Status.ACTIVE}, fields))
        reader.only(CREATIVE_FIELDS)
        status = reader.choice("status", [Status.ACTIVE, Status.PAUSED])
        columns = read_creative(reader)
        reader.raise_faults("the creative")
        making.notices += reader.notices
        row = CreativeRow(
            **columns,
            campaign_id=owner.id,
            status=str(status),
            created_at=making.now,
            updated_at=making.now,
        )
        making.create(row)
        after = {**creative_fields(row), "status": row.status}
        making.record("creative", row.id, "create", None, after)
        making.touch(owner, "creative.create")
        making.notices.extend(creative_notices(row.image_url, row.landing_url))
        view = creative_view(row)
    return making.outcome(view)


def update(
    plane: ControlPlane,
    actor: str,
    ref: int | str,
    patch: Mapping[str, object],
    *,
    dry_run: bool = False,
) -> Outcome[CreativeView]:
    """Change fields of a creative; ``patch`` is a JSON merge patch of its fields.

    Raises FaultyInputError with every fault, NotFoundError, ConflictError.
    """
    with change(plane, actor, dry_run=dry_run) as making:
        row = _locked(making, ref)
        require_live("creative", row)
        before = creative_fields(row)
        reader = FieldReader(merge(CREATIVE_DEFAULTS, merge(before, patch)))
        reader.only(before, _FIXED)
        if reader.values.get("kind") != row.kind:
            reader.reject("kind", reader.values.get("kind"), f"{row.kind}: a creative stays one")
        columns = read_creative(reader)
        reader.raise_faults(f"the change to creative {row.id}")
        making.notices += reader.notices
        for name, value in columns.items():
            setattr(row, name, value)
        after = creative_fields(row)
        if after != before:
            row.updated_at = making.now
            making.record("creative", row.id, "update", before, after)
            making.touch(find_campaign(making.session, row.campaign_id), "creative.update")
            making.notices.extend(creative_notices(row.image_url, row.landing_url))
        view = creative_view(row)
    return making.outcome(view)


def pause(
    plane: ControlPlane, actor: str, ref: int | str, *, dry_run: bool = False
) -> Outcome[CreativeView]:
    """Keep a creative from being served until it is resumed."""
    return _set_status(plane, actor, ref, Status.PAUSED, dry_run=dry_run)


def resume(
    plane: ControlPlane, actor: str, ref: int | str, *, dry_run: bool = False
) -> Outcome[CreativeView]:
    """Let a paused creative be served again."""
    return _set_status(plane, actor, ref, Status.ACTIVE, dry_run=dry_run)


def archive(
    plane: ControlPlane, actor: str, ref: int | str, *, dry_run: bool = False
) -> Outcome[CreativeView]:
    """Take a creative out for good. Clicks on it still land."""
    return _set_status(plane, actor, ref, Status.ARCHIVED, dry_run=dry_run)


def show(plane: ControlPlane, ref: int | str) -> CreativeView:
    """Return one creative. Raises NotFoundError, or ConflictError if several have the name."""
    with reading(plane) as session:
        return creative_view(find_creative(session, ref))


def list_all(
    plane: ControlPlane,
    *,
    status: Status | None = None,
    campaign: int | str | None = None,
    after: int = 0,
    limit: int | None = None,
) -> list[CreativeView]:
    """Return creatives by id, beginning after id ``after``; without ``status`` the live ones."""
    wanted = (
        CreativeRow.status != Status.ARCHIVED if status is None else CreativeRow.status == status
    )
    query = select(CreativeRow).where(wanted, col(CreativeRow.id) > after)
    with reading(plane) as session:
        if campaign is not None:
            owner = find_campaign(session, campaign)
            query = query.where(CreativeRow.campaign_id == owner.id)
        rows = session.exec(query.order_by(col(CreativeRow.id)).limit(limit))
        return [creative_view(row) for row in rows]


def _set_status(
    plane: ControlPlane, actor: str, ref: int | str, status: Status, *, dry_run: bool
) -> Outcome[CreativeView]:
    with change(plane, actor, dry_run=dry_run) as making:
        row = _locked(making, ref)
        if change_status(making, "creative", row, status):
            owner = find_campaign(making.session, row.campaign_id)
            making.touch(owner, f"creative.{ACTION_OF[status]}")
        view = creative_view(row)
    return making.outcome(view)


def _locked(making: Change, ref: int | str) -> CreativeRow:
    # The campaign first, as everyone locks: the other order would be a deadlock in waiting.
    row = find_creative(making.session, ref)
    find_campaign(making.session, row.campaign_id, lock=True)
    making.session.refresh(row)
    return row
