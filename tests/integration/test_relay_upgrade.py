"""What an adctl that relayed from the stream had stored and not relayed, after the upgrade."""

from __future__ import annotations

import itertools
import random
import uuid
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import psycopg
import pytest

from adctl.models import Event, EventKind
from adctl.resources import SQL
from adctl.stores.event_rows import EventRow
from adctl.stores.relay_batches import RelayBatches
from adctl.stores.stream import id_order

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adctl.stores.endpoints import Endpoints

MIGRATIONS = sorted((SQL / "migrations").glob("*.sql"))
RELAY = next(path for path in MIGRATIONS if path.stem == "0022_relay_from_rows")


@pytest.fixture
def old(endpoints: Endpoints, postgres: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """A database as it is before the migration."""
    postgres.autocommit = True
    name = f"old_{uuid.uuid4().hex}"
    postgres.execute(f"CREATE DATABASE {name}")
    try:
        with psycopg.connect(f"{endpoints.postgres_url.removesuffix('/adctl')}/{name}") as old:
            for path in itertools.takewhile(lambda path: path != RELAY, MIGRATIONS):
                old.execute(path.read_text().encode())
            yield old
    finally:
        postgres.execute(f"DROP DATABASE {name}")


def fill(old: psycopg.Connection, stream_ids: list[str]) -> dict[str, str]:
    """Store an event for each id, on several days; return the event id of each stream id."""
    rows, made = [], {}
    for number, stream_id in enumerate(stream_ids):
        event = Event(
            event_id=f"{number}:win",
            event_date=date(2026, 11, 1 + number % 3).isoformat(),
            kind=EventKind.WIN,
            occurred_at_ms=int(datetime.now(UTC).timestamp() * 1000),
            bid_id=f"{number}",
            campaign_id=1,
            creative_id=1,
            exchange="default",
        )
        rows.append(EventRow.of(stream_id, event).line)
        made[event.event_id] = stream_id
    for day in range(1, 4):
        old.execute("SELECT event_partition(%s)", [date(2026, 11, day)])
    with old.cursor().copy("COPY event FROM STDIN") as copy:
        copy.write(b"".join(rows))
    return made


def stand(old: psycopg.Connection, stream: str, **positions: str) -> None:
    for reader, last_id in positions.items():
        old.execute(
            "INSERT INTO stream_position (stream, reader, last_id) VALUES (%s, %s, %s)",
            [stream, reader.replace("kafka", "kafka:c"), last_id],
        )


def waiting(old: psycopg.Connection, stream: str) -> list[str]:
    """Return the stream ids of what waits, batch by batch as the relay takes it."""
    batches, found = RelayBatches(stream), []
    while batch := batches.next(old, 1):
        told = [stream_id for stream_id, _ in batches.events(old, batch)]
        assert told[-1] == batch[0].last_id
        found += told
        batches.forget(old, batch)
    return found


def test_what_lies_between_the_positions_waits_in_the_streams_order(
    old: psycopg.Connection,
) -> None:
    ids = [f"{ms}-{seq}" for ms in range(99, 1500) for seq in (9, 10)]
    random.Random(1).shuffle(ids)
    fill(old, ids)
    stand(old, "adctl:{s0}:events", postgres="1400-9", kafka="99-9")
    old.execute(RELAY.read_text().encode())
    wanted = [one for one in ids if (99, 9) < id_order(one) <= (1400, 9)]
    assert waiting(old, "adctl:{s0}:events") == sorted(wanted, key=id_order)


@pytest.mark.parametrize("kafka", ["5-0", None])
def test_all_waits_that_was_never_relayed_and_nothing_that_was(
    old: psycopg.Connection, kafka: str | None
) -> None:
    fill(old, ["4-0", "5-0", "3-0@0"])
    stand(old, "adctl:{s0}:events", postgres="5-0", **({"kafka": kafka} if kafka else {}))
    old.execute(RELAY.read_text().encode())
    assert waiting(old, "adctl:{s0}:events") == ([] if kafka else ["4-0", "5-0"])


def test_of_several_streams_each_event_waits_once_where_it_is_in_order(
    old: psycopg.Connection,
) -> None:
    ids = ["3-0", "5-0", "5-0", "6-0", "7-0", "7-0", "9-0", "12-0"]
    fill(old, ids)
    stand(old, "adctl:{s0}:events", postgres="7-0", kafka="4-0")
    stand(old, "adctl:{s1}:events", postgres="9-0", kafka="4-1")
    stand(old, "adctl:{s2}:events", postgres="20-0", kafka="20-0")
    old.execute(RELAY.read_text().encode())
    found = [waiting(old, f"adctl:{{s{shard}}}:events") for shard in range(3)]
    assert sorted(itertools.chain(*found), key=id_order) == ids[1:7]
    for told in found:
        assert told == sorted(set(told), key=id_order)
    assert found[2] == []
