"""Pausing, resuming and archiving: the same rules for advertisers, campaigns and creatives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adctl.control.lookup import require_live
from adctl.models import Status

if TYPE_CHECKING:
    from adctl.control.plane import Change
    from adctl.stores.tables import AdvertiserRow, CampaignRow, CreativeRow

ACTION_OF = {Status.PAUSED: "pause", Status.ACTIVE: "resume", Status.ARCHIVED: "archive"}


def change_status(
    change: Change, noun: str, row: AdvertiserRow | CampaignRow | CreativeRow, status: Status
) -> bool:
    """Give ``row`` a status and write the audit row; False if it had it already.

    Raises ConflictError for what is archived: nothing brings it back.
    """
    if row.status == status:
        return False
    require_live(noun, row)
    change.record(noun, row.id, ACTION_OF[status], {"status": row.status}, {"status": status})
    row.status = status.value
    row.updated_at = change.now
    return True
