"""How far one user's frequency caps are used up, for support staff."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple, cast

from adctl.control.publishing import read_documents
from adctl.delivery.frequency_cap import CapUsage, usage
from adctl.delivery.sharding import shard_of
from adctl.stores import keys
from adctl.stores.postgres import postgres_errors
from adctl.stores.redis import redis_errors

if TYPE_CHECKING:
    from collections.abc import Collection

    import psycopg
    import redis


class UserCap(NamedTuple):
    """One cap of one campaign, as one user has used it."""

    campaign_id: int
    campaign: str
    usage: CapUsage

    def fields(self) -> dict[str, object]:
        """Return what support staff ask for; times are UTC."""
        frees_at_ms = self.usage.frees_at_ms
        return {
            "campaign_id": self.campaign_id,
            "campaign": self.campaign,
            "limit": self.usage.limit,
            "window_sec": self.usage.window_sec,
            "impressions": self.usage.counted,
            "in_flight": self.usage.held,
            "capped": self.usage.reached,
            "frees_at": None if frees_at_ms is None else _time(frees_at_ms),
        }


def read_user_caps(
    conn: psycopg.Connection,
    client: redis.Redis,
    user_hash: str,
    hold_sec: int,
    now: datetime,
    only: Collection[int] = (),
    *,
    shards: int = 1,
) -> list[UserCap]:
    """Return every cap of the campaigns this user was bid on for, or of those in ``only``.

    Empty for a user who is not known: never seen, not identified, or longer ago than any window.
    Raises StoreUnavailableError.
    """
    key = keys.user(shard_of(user_hash, shards), user_hash)
    with redis_errors("read a user's impressions"):
        fields = cast("dict[str, str]", client.hgetall(key))
    campaign_ids = only or {int(field.partition(":")[0]) for field in fields}
    with postgres_errors("read campaigns"):
        documents = read_documents(conn, sorted(campaign_ids), now)
    now_ms = int(now.timestamp() * 1000)
    return [
        UserCap(campaign.id, campaign.name, used)
        for campaign, _ in documents
        for used in usage(fields, campaign.caps, campaign.id, now_ms, hold_sec)
    ]


def _time(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)
