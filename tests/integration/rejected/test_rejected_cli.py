"""``adctl rejected``, and what entries say of themselves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
import pytest

from adctl.models import Event, EventKind
from adctl.resources import SQL
from tests.integration.rejected.refused import (
    broken,
    in_foreign_currency,
    ledger,
    rows,
    run,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg
    from psycopg_pool import ConnectionPool

    from adctl.stores.endpoints import Endpoints
    from adctl.stores.stream import EventStream
    from tests.integration.house import House

    MakeEvent = Callable[..., Event]
    Pool = ConnectionPool[psycopg.Connection]


def test_only_what_is_named_is_put_back(house: House, endpoints: Endpoints) -> None:
    first, second = broken(house), broken(house)
    done = run(endpoints, "retry", second, "--output", "json")
    assert done.exit_code == 0, done.output
    assert [(row["rejected"], row["fate"]) for row in json.loads(done.stdout)] == [
        (second, "stored")
    ]
    left = json.loads(run(endpoints, "list", "--output", "json").stdout)
    assert [row["rejected"] for row in left] == [first]


def test_a_dry_run_says_what_would_become_of_each_and_changes_nothing(
    house: House,
    endpoints: Endpoints,
    postgres: psycopg.Connection,
    make_event: MakeEvent,
    append: Callable[..., None],
) -> None:
    append(make_event("bad", event_date="9999-12-31"))
    broken(house)
    before = rows(postgres, "SELECT * FROM rejected_event ORDER BY stream_id")
    length = house.redis.xlen("adctl:{s0}:events")
    tried = run(endpoints, "retry", "--all", "--dry-run", "--output", "json")
    assert tried.exit_code == 0, tried.output
    assert [row["fate"] for row in json.loads(tried.stdout)] == ["refused", "stored"]
    assert rows(postgres, "SELECT * FROM rejected_event ORDER BY stream_id") == before
    assert house.redis.xlen("adctl:{s0}:events") == length
    assert ledger(postgres) == 0


def test_the_listing_says_what_waits_and_show_shows_it_whole(
    house: House, endpoints: Endpoints
) -> None:
    name = broken(house)
    [row] = json.loads(run(endpoints, "list", "--output", "json").stdout)
    assert row.pop("age_sec") < 60
    assert row == {
        "rejected": name,
        "kind": "impression",
        "campaign_id": house.campaign_id,
        "campaign": "Spring",
        "cost": "0.0015",
        "reason": "a text has a NUL character, which PostgreSQL does not store",
    }
    shown = json.loads(run(endpoints, "show", name, "--output", "json").stdout)
    assert json.loads(shown["raw"])["campaign_id"] == house.campaign_id
    assert (shown["late"], shown["odd"]) == (False, "taken")


def test_what_is_no_json_is_listed_shown_and_still_refused(
    house: House, endpoints: Endpoints, stream: EventStream
) -> None:
    house.redis.xadd(stream.key, {"e": b"\xff{\x00", "late": "0", "odd": "taken"})
    house.flusher.drain(100)
    [row] = json.loads(run(endpoints, "list", "--output", "json").stdout)
    assert (row["cost"], row["kind"], row["campaign_id"]) == ("unknown", None, None)
    shown = json.loads(run(endpoints, "show", row["rejected"], "--output", "json").stdout)
    assert shown["raw"] == "\\xff{\0"
    done = run(endpoints, "retry", "--all", "--output", "json")
    assert done.exit_code == 6
    assert "1 of 1 still wait" in done.stderr


@pytest.mark.parametrize("name", ["0/1-1", "1/1-1", "soon", "0/1", "999999/1-1", "0/1-1\n"])
def test_what_is_not_there_is_said_to_be_missing(
    house: House, endpoints: Endpoints, name: str
) -> None:
    for line in (["show", name], ["retry", name]):
        found = run(endpoints, *line)
        assert found.exit_code == 5, found.output
        assert "adctl rejected list" in found.stderr


@pytest.mark.parametrize("line", [["retry"], ["retry", "0/1-1", "--all"]])
def test_either_names_or_all_are_asked_for(
    house: House, endpoints: Endpoints, line: list[str]
) -> None:
    assert run(endpoints, *line).exit_code == 3


@pytest.mark.parametrize(
    ("raw", "odd", "says"),
    [
        (b'{"kind":"click","campaign_id":7,"event_id":"a"}', "taken", ("a", "click", 7, 0)),
        (b'{"cost_nanos":5, "kind" : "win", "campaign_id": 7}', None, (None, "win", 7, 5)),
        (b'{"cost_nanos":5}', "rebilled", (None, None, None, 0)),
        (b'{"cost_nanos":5,"test":true}', "taken", (None, None, None, 0)),
        (b'{"bid_id":"\\"cost_nanos\\":7,\\u0000","cost_nanos":5}', "taken", (None, None, None, 5)),
        (b'{"cost_nanos":-5,"campaign_id":null}', "taken", (None, None, None, None)),
        (b'{"cost_nanos":1.5}', "taken", (None, None, None, None)),
        (b'{"cost_nanos":99999999999999999999}', "taken", (None, None, None, None)),
        (b'{"cost_nanos":5,"event_date":"2026-99-99"}', "taken", (None, None, None, 5)),
        (b'{"cost_nanos":5', "taken", (None, None, None, None)),
        (b'["cost_nanos"]', "taken", (None, None, None, None)),
        (b"\xff", "taken", (None, None, None, None)),
        (b"a\0b", "taken", (None, None, None, None)),
        (b"", "taken", (None, None, None, None)),
        (b"[" * 100_000, "taken", (None, None, None, None)),
    ],
)
def test_an_entry_says_what_can_be_read_of_it_whoever_put_it_there(
    postgres: psycopg.Connection, raw: bytes, odd: str | None, says: tuple[object, ...]
) -> None:
    postgres.execute(
        "INSERT INTO rejected_event (stream, stream_id, reason, raw, odd) "
        "VALUES ('s', '1-1', 'r', %s, %s)",
        [raw, odd],
    )
    columns = "event_id, kind, campaign_id, cost_nanos"
    assert rows(postgres, f"SELECT {columns} FROM rejected_event") == [says]


def test_rows_of_before_say_what_they_are_after_the_migration(
    house: House, postgres: psycopg.Connection
) -> None:
    broken(house)
    columns = "event_date, event_id, kind, campaign_id, cost_nanos, occurred_at"
    known = rows(postgres, f"SELECT {columns} FROM rejected_event")
    assert None not in known[0]
    wiped = ", ".join(f"{name} = NULL" for name in columns.split(", "))
    rows(postgres, f"UPDATE rejected_event SET {wiped} RETURNING 1")
    text = (SQL / "migrations" / "0019_rejected_events_say_what_they_are.sql").read_text()
    update = text[text.index("UPDATE rejected_event") :]
    postgres.execute(update[: update.index(";")])
    postgres.commit()
    assert rows(postgres, f"SELECT {columns} FROM rejected_event") == known


def test_events_that_were_stored_misread_are_found_and_mended(
    house: House, endpoints: Endpoints, postgres: psycopg.Connection
) -> None:
    order = {"order_id": "o-1", "kind": EventKind.CONVERSION}

    def ordered(event: Event) -> Event:
        return msgspec.structs.replace(in_foreign_currency(house, "GBP", "1.3")(event), **order)

    house.tell(house.bid(), EventKind.IMPRESSION, in_foreign_currency(house, "EUR", "1.25"))
    house.tell(house.bid(), EventKind.CONVERSION, ordered)
    house.show(house.bid())
    assert house.flusher.drain(100).stored == 3
    columns = "advertiser_id, site, country, device"
    wrong = rows(postgres, f"SELECT {columns} FROM event ORDER BY event_id")
    assert wrong[0] == (int.from_bytes(b"EUR\4"), "", "1.2", "53")
    [(_, day)] = rows(postgres, "SELECT DISTINCT 1, event_date FROM event")
    expected = [{"day": str(day), "campaign_id": house.campaign_id, "events": 2}]
    tried = run(endpoints, "misread", "--dry-run", "--output", "json")
    assert json.loads(tried.stdout) == expected
    assert rows(postgres, f"SELECT {columns} FROM event ORDER BY event_id") == wrong
    assert json.loads(run(endpoints, "misread", "--output", "json").stdout) == expected
    whose = house.campaign.advertiser_id
    mended = rows(postgres, f"SELECT {columns} FROM event ORDER BY event_id")
    assert mended == [(whose, "", "", ""), (whose, "", "", ""), wrong[2]]
    assert rows(postgres, "SELECT advertiser_id, order_id FROM conversion_order") == [
        (whose, "o-1")
    ]
    assert json.loads(run(endpoints, "misread", "--output", "json").stdout) == []
