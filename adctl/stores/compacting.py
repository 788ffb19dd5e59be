"""Campaigns in less room: what many of them have in common is held once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import force_setattr

from adctl.models import Targeting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adctl.models import Campaign

# Values kept of each field. Beyond it nothing new is: what few have in common saves nothing.
_MOST = 10_000

_OF_CAMPAIGN = ("timezone", "starts_at", "ends_at", "caps", "deals", "targeting")
_OF_CREATIVE = ("name", "adomain", "cat", "attr", "language", "app_bundle", "media")
_OF_TARGETING = Targeting.__struct_fields__

_shared: dict[str, dict[Any, Any]] = {
    name: {} for name in (*_OF_CAMPAIGN, *_OF_CREATIVE, *_OF_TARGETING)
}


def compacted(campaign: Campaign) -> Campaign:
    """Return ``campaign``, just decoded and nobody else's yet, with its parts shared with others.

    It is equal to what it was. Its parts are immutable, so nobody can tell but by their identity.
    """
    _share(campaign.targeting, _OF_TARGETING)
    for creative in campaign.creatives:
        _share(creative, _OF_CREATIVE)
    _share(campaign, _OF_CAMPAIGN)
    return campaign


def _share(struct: Any, names: Sequence[str]) -> None:
    for name in names:
        value = getattr(struct, name)
        # Nothing and the empty tuple are only there once.
        if not value:
            continue
        known = _shared[name]
        try:
            shared = known.get(value)
        except TypeError:
            continue  # a native ad's texts are a dictionary: hardly two have the same ones
        if shared is None:
            if len(known) < _MOST:
                known[value] = value
        elif shared is not value:
            force_setattr(struct, name, shared)
