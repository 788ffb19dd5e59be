"""Users who were forgotten, and events that come after that."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from adctl.stores.event_rows import EventRow
from adctl.stores.postgres import load_queries

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import psycopg


def subject_of(user_hash: str) -> str:
    """Return the name under which an erasure is kept: it leads back to nobody."""
    return hashlib.sha256(f"erased:{user_hash}".encode()).hexdigest()


class Erasures:
    """Every method joins the transaction of the caller's connection."""

    def __init__(self) -> None:
        self._queries = load_queries("queries/erasures.sql")

    def count(self, conn: psycopg.Connection, user_hash: str) -> dict[str, int]:
        """Return how many rows hold a user, by table."""
        return {
            "event": int(self._queries.count_events(conn, user_hash=user_hash)),
            "rejected_event": int(self._queries.count_rejected(conn, user_hash=user_hash)),
        }

    def record(self, conn: psycopg.Connection, user_hash: str, actor: str) -> tuple[int, datetime]:
        """Remember that a user was forgotten; return its number, and the time.

        Events that are stored once this is committed are stored without the user.
        """
        number, erased_at = self._queries.record(conn, subject=subject_of(user_hash), actor=actor)
        return number, erased_at

    def erase(self, conn: psycopg.Connection, user_hash: str) -> dict[str, int]:
        """Take a user out of all rows there are; return how many those were, by table."""
        return {
            "event": int(self._queries.blank_events(conn, user_hash=user_hash)),
            "rejected_event": int(self._queries.blank_rejected(conn, user_hash=user_hash)),
        }

    def keep_receipt(self, conn: psycopg.Connection, number: int, receipt: object) -> None:
        """Keep what was done."""
        text = msgspec.json.encode(receipt).decode()
        self._queries.keep_receipt(conn, id=number, receipt=text)

    def blank(self, conn: psycopg.Connection, rows: Sequence[EventRow]) -> Sequence[EventRow]:
        """Return events without the users that were forgotten since their bid was made.

        Bids of the day of the erasure count as made before. Cheap while nobody was ever forgotten.
        """
        if not self._queries.any_erasure(conn):
            return rows
        subjects = {hash_: subject_of(hash_) for row in rows if (hash_ := row.event.user_hash)}
        erased = dict(self._queries.erased_days(conn, subjects=list(subjects.values())))
        gone = {hash_: erased[named] for hash_, named in subjects.items() if named in erased}
        return [
            EventRow.of(row.stream_id, msgspec.structs.replace(row.event, user_hash=""))
            if (user := row.event.user_hash) in gone and row.event_date <= gone[user]
            else row
            for row in rows
        ]
