"""Window arithmetic of frequency caps: which fields of a user's hash count, and until when.

A window is counted in eighths. An impression at time t goes into bucket t // (window / 8); counting
adds up the current bucket and the eight before it. The window is therefore never counted short:
a cap is never exceeded, and an impression weighs on it for at most an eighth of the window longer
than it has to. Bids in flight count as holds, for the current hold period and the one before.

Milliseconds throughout; ``window_sec`` times 125 is an eighth of the window in milliseconds. The
scripts decide.lua and track.lua do the same arithmetic; adctl.stores.keys.user() names the fields.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from adctl.models import FrequencyCap

_OLDER_BUCKETS = 8
_OLDER_HOLDS = 1
_EIGHTH_MS_PER_SEC = 125


class CapUsage(msgspec.Struct, frozen=True):
    """How much of one cap a user has used up.

    ``counted`` are impressions, ``held`` bids in flight; together they stand against ``limit``.
    ``frees_at_ms`` is when enough of them will have left the window for one more bid, if nothing
    is added until then; None where the cap leaves room now (or where its limit is 0).
    """

    limit: int
    window_sec: int
    counted: int
    held: int
    frees_at_ms: int | None

    @property
    def reached(self) -> bool:
        """Whether the cap forbids a bid now."""
        return self.counted + self.held >= self.limit


def bucket_field(campaign_id: int, window_sec: int, now_ms: int) -> str:
    """Return the field of a window in which an impression at ``now_ms`` is counted."""
    return f"{campaign_id}:{window_sec}:{now_ms // (window_sec * _EIGHTH_MS_PER_SEC)}"


def hold_field(campaign_id: int, hold_sec: int, now_ms: int) -> str:
    """Return the field in which a bid at ``now_ms`` is held."""
    return f"{campaign_id}:h:{now_ms // (hold_sec * 1000)}"


def bucket_fields(campaign_id: int, window_sec: int, now_ms: int) -> list[str]:
    """Return the fields to add up for a window, that of bucket_field first."""
    current = now_ms // (window_sec * _EIGHTH_MS_PER_SEC)
    return [
        f"{campaign_id}:{window_sec}:{n}" for n in range(current, current - _OLDER_BUCKETS - 1, -1)
    ]


def hold_fields(campaign_id: int, hold_sec: int, now_ms: int) -> list[str]:
    """Return the fields to add up for bids in flight, that of hold_field first."""
    current = now_ms // (hold_sec * 1000)
    return [f"{campaign_id}:h:{n}" for n in range(current, current - _OLDER_HOLDS - 1, -1)]


def usage(
    fields: Mapping[str, str],
    caps: Iterable[FrequencyCap],
    campaign_id: int,
    now_ms: int,
    hold_sec: int,
) -> tuple[CapUsage, ...]:
    """Return how far each cap of a campaign is used by the user whose hash holds ``fields``."""
    hold_ms = hold_sec * 1000
    holds = _leaving(fields, hold_fields(campaign_id, hold_sec, now_ms), hold_ms)
    return tuple(_usage_of(cap, fields, holds, campaign_id, now_ms) for cap in caps)


def _usage_of(
    cap: FrequencyCap,
    fields: Mapping[str, str],
    holds: list[tuple[int, int]],
    campaign_id: int,
    now_ms: int,
) -> CapUsage:
    eighth_ms = cap.window_sec * _EIGHTH_MS_PER_SEC
    shown = _leaving(fields, bucket_fields(campaign_id, cap.window_sec, now_ms), eighth_ms)
    return CapUsage(
        limit=cap.limit,
        window_sec=cap.window_sec,
        counted=sum(count for _, count in shown),
        held=sum(count for _, count in holds),
        frees_at_ms=_frees_at_ms([*shown, *holds], cap.limit),
    )


def _leaving(fields: Mapping[str, str], names: list[str], period_ms: int) -> list[tuple[int, int]]:
    """Return (when it stops counting, its count) for each of ``names`` that is there."""
    return [
        ((int(name.rpartition(":")[2]) + len(names)) * period_ms, int(fields[name]))
        for name in names
        if name in fields
    ]


def _frees_at_ms(leaving: list[tuple[int, int]], limit: int) -> int | None:
    standing = sum(count for _, count in leaving)
    if standing < limit:
        return None
    for at_ms, count in sorted(leaving):
        standing -= count
        if standing < limit:
            return at_ms
    return None
