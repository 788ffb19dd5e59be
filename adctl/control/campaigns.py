"""What can be done to campaigns. The CLI and the api call the same functions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlmodel import col, select

from adctl.control.fields import FieldReader
from adctl.control.lookup import find_advertiser, find_campaign, require_live
from adctl.control.merging import merge
from adctl.control.plane import Change, ControlPlane, Outcome, change, reading
from adctl.control.statuses import ACTION_OF, change_status
from adctl.control.validation import CAMPAIGN_DEFAULTS, CAMPAIGN_FIELDS, read_campaign
from adctl.control.views import campaign_fields, campaign_views
from adctl.errors import NotFoundError, StoreUnavailableError
from adctl.models import Status
from adctl.money import format_nanos
from adctl.stores.tables import AdvertiserRow, CampaignRow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlmodel import Session

    from adctl.control.drafts import CampaignView
    from adctl.stores.budgets import BudgetState

_FIXED = {
    "status": "no status: pause, resume and archive change it",
    "advertiser": "no advertiser: a campaign stays with the one it was created for",
}


def create(
    plane: ControlPlane, actor: str, fields: Mapping[str, object], *, dry_run: bool = False
) -> Outcome[CampaignView]:
    """Create a campaign, active unless its ``status`` is ``paused``.

    ``fields`` are those of CampaignDraft. Raises FaultyInputError with every fault, NotFoundError
    or ConflictError for the advertiser, ConflictError if the name is taken.
    """
    with change(plane, actor, dry_run=dry_run) as making:
        reader = FieldReader(merge(CAMPAIGN_DEFAULTS | {"status": Status.ACTIVE}, fields))
        reader.only(CAMPAIGN_FIELDS)
        advertiser = _advertiser_of(reader, making.session)
        status = reader.choice("status", [Status.ACTIVE, Status.PAUSED])
        columns = read_campaign(reader, making.now)
        if columns["ends_at"] and columns["ends_at"] <= making.now:
            reader.reject("end", reader.values["end"], "a time in the future")
        reader.raise_faults("the campaign")
        making.notices += reader.notices
        row = CampaignRow(
            **columns,
            advertiser_id=advertiser.id if advertiser else 0,
            status=str(status),
            created_at=making.now,
            updated_at=making.now,
        )
        making.create(row)
        after = {**campaign_fields(row), "status": row.status}
        making.record("campaign", row.id, "create", None, after)
        making.touch(row, "campaign.create", created=True)
        view = _view(plane, making, row)
    return making.outcome(view)


def update(
    plane: ControlPlane,
    actor: str,
    ref: int | str,
    patch: Mapping[str, object],
    *,
    dry_run: bool = False,
) -> Outcome[CampaignView]:
    """Change fields of a campaign; ``patch`` is a JSON merge patch of its fields.

    A patch that leaves everything as it is writes nothing. Raises FaultyInputError with every
    fault, NotFoundError, ConflictError if it is archived or the new name is taken.
    """
    with change(plane, actor, dry_run=dry_run) as making:
        row = find_campaign(making.session, ref, lock=True)
        require_live("campaign", row)
        before = campaign_fields(row)
        reader = FieldReader(merge(CAMPAIGN_DEFAULTS, merge(before, patch)))
        reader.only(before, _FIXED)
        columns = read_campaign(reader, row.starts_at)
        reader.raise_faults(f"the change to campaign {row.id}")
        making.notices += reader.notices
        for name, value in columns.items():
            setattr(row, name, value)
        after = campaign_fields(row)
        if after != before:
            making.record("campaign", row.id, "update", before, after)
            making.touch(row, "campaign.update")
            making.notices += _stopped_by(row, _money(plane, row.id))
        view = _view(plane, making, row)
    return making.outcome(view)


def _money(plane: ControlPlane, campaign_id: int) -> BudgetState | None:
    try:
        return plane.budgets.read([campaign_id]).get(campaign_id)
    except StoreUnavailableError:
        return None  # said by the change itself, which is published later


def _stopped_by(row: CampaignRow, money: BudgetState | None) -> list[str]:
    """Say so if the campaign has spent its changed budgets already."""
    if money is None:
        return []
    stopped = []
    if money.spent >= row.total_budget_nanos:
        spent = format_nanos(money.spent)
        stopped.append(f"{row.name} has spent {spent} already, so it bids no more on this budget")
    elif money.day_spent >= row.daily_budget_nanos:
        spent = format_nanos(money.day_spent)
        stopped.append(f"{row.name} has spent {spent} today, so it bids again tomorrow")
    return stopped


def pause(
    plane: ControlPlane, actor: str, ref: int | str, *, dry_run: bool = False
) -> Outcome[CampaignView]:
    """Stop a campaign from serving until it is resumed."""
    return _set_status(plane, actor, ref, Status.PAUSED, dry_run=dry_run)


def resume(
    plane: ControlPlane, actor: str, ref: int | str, *, dry_run: bool = False
) -> Outcome[CampaignView]:
    """Let a paused campaign serve again."""
    return _set_status(plane, actor, ref, Status.ACTIVE, dry_run=dry_run)


def archive(
    plane: ControlPlane, actor: str, ref: int | str, *, dry_run: bool = False
) -> Outcome[CampaignView]:
    """End a campaign for good. What it spent, and its history, stay."""
    return _set_status(plane, actor, ref, Status.ARCHIVED, dry_run=dry_run)


def show(plane: ControlPlane, ref: int | str) -> CampaignView:
    """Return one campaign. Raises NotFoundError, or ConflictError if several have the name."""
    with reading(plane) as session:
        rows = [find_campaign(session, ref)]
        return campaign_views(session, rows, plane.currency, datetime.now(UTC))[0]


def list_all(
    plane: ControlPlane,
    *,
    status: Status | None = None,
    advertiser: int | str | None = None,
    after: int = 0,
    limit: int | None = None,
) -> list[CampaignView]:
    """Return campaigns by id, beginning after id ``after``; without ``status`` the live ones."""
    wanted = (
        CampaignRow.status != Status.ARCHIVED if status is None else CampaignRow.status == status
    )
    query = select(CampaignRow).where(wanted, col(CampaignRow.id) > after)
    with reading(plane) as session:
        if advertiser is not None:
            owner = find_advertiser(session, advertiser)
            query = query.where(CampaignRow.advertiser_id == owner.id)
        rows = list(session.exec(query.order_by(col(CampaignRow.id)).limit(limit)))
        return campaign_views(session, rows, plane.currency, datetime.now(UTC))


def _advertiser_of(reader: FieldReader, session: Session) -> AdvertiserRow | None:
    ref = reader.values.get("advertiser")
    if not isinstance(ref, (int, str)) or isinstance(ref, bool):
        reader.reject("advertiser", ref, "an advertiser's id or name")
        return None
    try:
        advertiser = find_advertiser(session, ref)
    except NotFoundError:
        reader.reject("advertiser", ref, "the id or name of an advertiser that exists")
        return None
    require_live("advertiser", advertiser)
    return advertiser


def _set_status(
    plane: ControlPlane, actor: str, ref: int | str, status: Status, *, dry_run: bool
) -> Outcome[CampaignView]:
    with change(plane, actor, dry_run=dry_run) as making:
        row = find_campaign(making.session, ref, lock=True)
        if change_status(making, "campaign", row, status):
            making.touch(row, f"campaign.{ACTION_OF[status]}")
        view = _view(plane, making, row)
    return making.outcome(view)


def _view(plane: ControlPlane, making: Change, row: CampaignRow) -> CampaignView:
    return campaign_views(making.session, [row], plane.currency, making.now)[0]
