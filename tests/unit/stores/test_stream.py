from __future__ import annotations

import msgspec
import pytest

from adctl.models import Event, EventKind
from adctl.stores.stream import StreamEntry, UnusableEntryError, id_order

EVENT = Event(
    event_id="e",
    event_date="2026-11-01",
    kind=EventKind.IMPRESSION,
    occurred_at_ms=1,
    bid_id="b",
    campaign_id=1,
    creative_id=2,
    exchange="default",
    cost_nanos=5,
)


def entry(event: Event, **fields: bytes) -> StreamEntry:
    return StreamEntry(
        "1-0", {b"e": msgspec.json.encode(event)} | {k.encode(): v for k, v in fields.items()}
    )


def test_stream_ids_are_ordered_as_numbers() -> None:
    assert id_order("9-1") < id_order("10-0") < id_order("10-2") < id_order("10-10")
    assert id_order("") < id_order("0-1")


def test_the_scripts_word_on_lateness_replaces_the_events() -> None:
    late = msgspec.structs.replace(EVENT, late=True)
    assert entry(EVENT, late=b"1").decode() == late
    assert entry(late, late=b"0").decode() == EVENT


def test_a_test_event_costs_nothing() -> None:
    test = msgspec.structs.replace(EVENT, test=True)
    assert entry(test).decode().cost_nanos == 0
    assert entry(EVENT).decode().cost_nanos == 5


@pytest.mark.parametrize("raw", [b"", b"null", b"[]", b'{"kind":"nap"}', b"\xff"])
def test_what_is_no_event_is_told(raw: bytes) -> None:
    with pytest.raises(UnusableEntryError):
        StreamEntry("1-0", {b"e": raw}).decode()


def test_what_is_kept_of_an_entry_without_an_event_is_all_of_it() -> None:
    assert StreamEntry("1-0", {b"x": b"1"}).raw == b"{b'x': b'1'}"
