"""The hourly rollups of what was bid, delivered and spent. Hours are UTC."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from adctl.stores.postgres import load_queries

if TYPE_CHECKING:
    from collections.abc import Mapping

    import psycopg


class DeliveryKey(NamedTuple):
    """What a row of rollup_delivery is about."""

    hour: datetime
    campaign_id: int
    creative_id: int
    exchange: str


class Delivery(msgspec.Struct):
    """What is added to a row of rollup_delivery."""

    bids: int = 0
    wins: int = 0
    losses: int = 0
    impressions: int = 0
    clicks: int = 0
    conversions: int = 0
    spend_nanos: int = 0


class RequestsKey(NamedTuple):
    """What a row of rollup_requests is about; ``reason`` '' counts the requests that got a bid."""

    hour: datetime
    exchange: str
    reason: str


class CandidatesKey(NamedTuple):
    """What a row of rollup_candidates is about; ``outcome`` is ``won``, or a reason why not.

    ``sampled`` ones were looked into for one request in many, the others are counted of all.
    """

    hour: datetime
    campaign_id: int
    exchange: str
    outcome: str
    sampled: bool = False


class Rollups:
    """Writes the rollups. Every method joins the transaction of the caller's connection."""

    def __init__(self) -> None:
        self._queries = load_queries("queries/rollups.sql")

    def add(
        self,
        conn: psycopg.Connection,
        delivery: Mapping[DeliveryKey, Delivery],
        requests: Mapping[RequestsKey, int],
        candidates: Mapping[CandidatesKey, int],
    ) -> None:
        """Add to the rollups."""
        # Sorted, so that consumers that touch the same rows never wait for each other in a circle.
        self._queries.add_delivery(
            conn, [key._asdict() | msgspec.to_builtins(delivery[key]) for key in sorted(delivery)]
        )
        self._queries.add_requests(
            conn, [key._asdict() | {"requests": requests[key]} for key in sorted(requests)]
        )
        self._queries.add_candidates(
            conn, [key._asdict() | {"candidates": candidates[key]} for key in sorted(candidates)]
        )

    def rebuild_delivery(self, conn: psycopg.Connection) -> int:
        """Make everything but ``bids`` what the event table says; return how many rows it filled.

        The caller keeps others from adding meanwhile.
        """
        self._queries.clear_event_columns(conn)
        filled: int = self._queries.fill_event_columns(conn)
        self._queries.drop_empty_rows(conn)
        return filled

    def forget_decisions(self, conn: psycopg.Connection, since: datetime) -> None:
        """Take out what decisions have added to the hours from ``since`` on.

        The caller keeps others from adding meanwhile, and ``since`` is the beginning of an hour.
        """
        self._queries.forget_bids(conn, since=since)
        self._queries.forget_requests(conn, since=since)
        self._queries.forget_candidates(conn, since=since)
