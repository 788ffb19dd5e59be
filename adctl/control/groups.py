"""The consumer groups there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adctl.control.analytics import ANALYTICS
from adctl.control.billing import BILLING
from adctl.control.notify import NOTIFY
from adctl.errors import ConflictError, NotFoundError

if TYPE_CHECKING:
    from adctl.control.group_reading import Group

GROUPS = {group.name: group for group in (ANALYTICS, BILLING, NOTIFY)}


def find_group(name: str) -> Group:
    """Return the group of that name. Raises NotFoundError."""
    if name not in GROUPS:
        raise NotFoundError(f"no consumer group {name!r}; there are {', '.join(GROUPS)}")
    return GROUPS[name]


def require_rewindable(group: Group) -> None:
    """Return if reading a group's topics again makes sense. Raises ConflictError."""
    if group is BILLING:
        raise ConflictError(
            "statement lines are made anew from the ledger, whole: adctl rebuild statements"
        )
    if group is NOTIFY:
        raise ConflictError(
            "reading again tells webhooks nothing new; adctl webhook retry sends what has failed"
        )
