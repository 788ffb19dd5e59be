"""What can be done to advertisers. The CLI and the api call the same functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlmodel import col, select

from adctl.control.lookup import find_advertiser, require_live
from adctl.control.merging import merge
from adctl.control.plane import Change, ControlPlane, Outcome, change, reading
from adctl.control.statuses import ACTION_OF, change_status
from adctl.control.validation import read_advertiser
from adctl.control.views import advertiser_fields, advertiser_views
from adctl.models import Status
from adctl.stores.postgres import load_queries
from adctl.stores.tables import AdvertiserRow, CampaignRow, psycopg_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from adctl.control.drafts import AdvertiserView

_queries = load_queries("queries/grants.sql")
_MOST_NAMED = 10


def create(
    plane: ControlPlane, actor: str, fields: Mapping[str, object], *, dry_run: bool = False
) -> Outcome[AdvertiserView]:
    """Create an advertiser. Raises FaultyInputError, or ConflictError if the name is taken."""
    columns = read_advertiser(fields, "the advertiser")
    with change(plane, actor, dry_run=dry_run) as making:
        row = AdvertiserRow(
            **columns,
            status=Status.ACTIVE.value,
            # Nothing has been paid in yet; the pacer looks for money every second.
            funded=not columns["prepaid"],
            created_at=making.now,
            updated_at=making.now,
        )
        making.create(row)
        after = {**advertiser_fields(row), "status": row.status}
        making.record("advertiser", row.id, "create", None, after)
        (view,) = advertiser_views(making.session, [row])
    return making.outcome(view)


def update(
    plane: ControlPlane,
    actor: str,
    ref: int | str,
    patch: Mapping[str, object],
    *,
    dry_run: bool = False,
) -> Outcome[AdvertiserView]:
    """Change fields of an advertiser; ``patch`` is a JSON merge patch of its fields.

    Raises FaultyInputError, NotFoundError, ConflictError.
    """
    with change(plane, actor, dry_run=dry_run) as making:
        row = find_advertiser(making.session, ref, lock=True)
        require_live("advertiser", row)
        before = advertiser_fields(row)
        columns = read_advertiser(merge(before, patch), f"the change to advertiser {row.id}")
        billed_otherwise = columns["prepaid"] != row.prepaid
        for name, value in columns.items():
            setattr(row, name, value)
        after = advertiser_fields(row)
        if after != before:
            making.record("advertiser", row.id, "update", before, after)
            row.updated_at = making.now
        if billed_otherwise:
            # Nothing is granted yet: the pacer looks for money every second.
            _queries.forget_grants(psycopg_of(making.session), advertiser_id=row.id)
            row.funded = not row.prepaid
            touch_campaigns(making, row, "update")
        (view,) = advertiser_views(making.session, [row])
    return making.outcome(view)


def pause(
    plane: ControlPlane, actor: str, ref: int | str, *, dry_run: bool = False
) -> Outcome[AdvertiserView]:
    """Stop all campaigns of an advertiser from serving; their own status stays."""
    return _set_status(plane, actor, ref, Status.PAUSED, dry_run=dry_run)


def resume(
    plane: ControlPlane, actor: str, ref: int | str, *, dry_run: bool = False
) -> Outcome[AdvertiserView]:
    """Let an advertiser's campaigns serve again, those that are active."""
    return _set_status(plane, actor, ref, Status.ACTIVE, dry_run=dry_run)


def archive(
    plane: ControlPlane, actor: str, ref: int | str, *, dry_run: bool = False
) -> Outcome[AdvertiserView]:
    """Stop all campaigns of an advertiser for good."""
    return _set_status(plane, actor, ref, Status.ARCHIVED, dry_run=dry_run)


def show(plane: ControlPlane, ref: int | str) -> AdvertiserView:
    """Return one advertiser. Raises NotFoundError."""
    with reading(plane) as session:
        return advertiser_views(session, [find_advertiser(session, ref)])[0]


def list_all(
    plane: ControlPlane, *, status: Status | None = None, after: int = 0, limit: int | None = None
) -> list[AdvertiserView]:
    """Return advertisers by id, beginning after id ``after``; without ``status`` the live ones."""
    wanted = (
        AdvertiserRow.status != Status.ARCHIVED
        if status is None
        else AdvertiserRow.status == status
    )
    with reading(plane) as session:
        rows = session.exec(
            select(AdvertiserRow)
            .where(wanted, col(AdvertiserRow.id) > after)
            .order_by(col(AdvertiserRow.id))
            .limit(limit)
        )
        return advertiser_views(session, list(rows))


def touch_campaigns(making: Change, row: AdvertiserRow, action: str) -> list[CampaignRow]:
    """Note that the advertiser's campaigns may now serve, or not, or with other money; which."""
    campaigns = list(
        making.session.exec(
            select(CampaignRow)
            .where(CampaignRow.advertiser_id == row.id, CampaignRow.status != Status.ARCHIVED)
            .order_by(col(CampaignRow.id))
            .with_for_update()
        )
    )
    for campaign in campaigns:
        making.touch(campaign, f"advertiser.{action}")
    return campaigns


def _stopped_or_started(campaigns: Sequence[CampaignRow], status: Status) -> list[str]:
    """Say which campaigns stop, or may go on: those that are active themselves."""
    names = [f"{row.id} ({row.name})" for row in campaigns if row.status == Status.ACTIVE]
    if not names:
        return []
    more = len(names) - _MOST_NAMED
    named = ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
    noun = "campaign" if len(names) == 1 else f"{len(names)} campaigns"
    if status is Status.ACTIVE:
        return [f"may serve again: {noun} {named}"]
    for_good = " for good" if status is Status.ARCHIVED else ""
    return [f"stops{for_good}: {noun} {named}"]


def _set_status(
    plane: ControlPlane, actor: str, ref: int | str, status: Status, *, dry_run: bool
) -> Outcome[AdvertiserView]:
    with change(plane, actor, dry_run=dry_run) as making:
        row = find_advertiser(making.session, ref, lock=True)
        if change_status(making, "advertiser", row, status):
            campaigns = touch_campaigns(making, row, ACTION_OF[status])
            making.notices += _stopped_or_started(campaigns, status)
        (view,) = advertiser_views(making.session, [row])
    return making.outcome(view)
