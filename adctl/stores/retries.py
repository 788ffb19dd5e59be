"""Messages that were put back and counted, so that each counts once however often it comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adctl.stores.postgres import load_queries

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import psycopg

    Place = tuple[int, int]  # partition and offset


class Retries:
    """One group's. Every method joins the transaction of the caller's connection."""

    def __init__(self, group: str) -> None:
        self._group = {"consumer_group": group}
        self._queries = load_queries("queries/retried_messages.sql")

    def find(self, conn: psycopg.Connection, origins: Collection[str]) -> dict[str, Place]:
        """Return those of ``origins`` that have counted, with the place of the one that did."""
        if not origins:
            return {}
        rows = self._queries.find_retried(conn, origins=list(origins), **self._group)
        return {origin: (partition, offset) for origin, partition, offset in rows}

    def record(self, conn: psycopg.Connection, counted: Mapping[str, Place]) -> None:
        """Keep that messages of these origins have counted."""
        rows = [
            {"origin": origin, "partition": partition, "offset": offset} | self._group
            for origin, (partition, offset) in sorted(counted.items())
        ]
        if rows:
            self._queries.record_retried(conn, rows)
