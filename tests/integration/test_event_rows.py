from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from adctl.models import Event
from adctl.stores.event_rows import EventRow

if TYPE_CHECKING:
    import psycopg

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
_BIGINT = st.integers(-(2**63), 2**63 - 1)
_YEARS_1_TO_9999_MS = st.integers(-62_135_596_800_000, 253_402_300_799_999)
_EVENTS = st.builds(
    Event,
    event_id=_TEXT,
    event_date=st.dates().map(lambda day: day.isoformat()),
    occurred_at_ms=_YEARS_1_TO_9999_MS,
    bid_id=_TEXT,
    campaign_id=st.integers(-(2**31), 2**31 - 1),
    creative_id=st.integers(-(2**31), 2**31 - 1),
    exchange=_TEXT,
    price_cpm_micros=_BIGINT,
    cost_nanos=_BIGINT,
    odd=_TEXT,
    loss_reason=st.integers(-(2**31), 2**31 - 1),
    user_hash=_TEXT,
    min_to_win_micros=st.none() | _BIGINT,
    market_bid_ratio_ppm=st.none() | _BIGINT,
    shown_at_ms=st.none() | _YEARS_1_TO_9999_MS,
    advertiser_id=st.integers(-(2**31), 2**31 - 1),
    site=_TEXT,
    country=_TEXT,
    device=_TEXT,
    bid_cpm_micros=_BIGINT,
    order_id=_TEXT,
    value_nanos=st.none() | _BIGINT,
    told_value_nanos=st.none() | _BIGINT,
    told_currency=_TEXT,
)


def _columns(stream_id: str, event: Event) -> dict[str, object]:
    columns = msgspec.structs.asdict(event)
    shown_at_ms = columns.pop("shown_at_ms")
    occurred_at = _EPOCH + timedelta(milliseconds=columns.pop("occurred_at_ms"))
    shown_at = None if shown_at_ms is None else _EPOCH + timedelta(milliseconds=shown_at_ms)
    return {
        **columns,
        "kind": event.kind.value,
        "occurred_at": occurred_at,
        "shown_at": shown_at,
        "stream_id": stream_id,
        "event_date": datetime.fromisoformat(event.event_date).date(),
    }


def test_every_column_holds_what_the_event_says(postgres: psycopg.Connection) -> None:
    postgres.execute("CREATE TEMP TABLE told (LIKE event)")

    @settings(deadline=None)
    @given(st.lists(_EVENTS, max_size=5))
    def holds(events: list[Event]) -> None:
        with postgres.cursor() as cursor:
            with cursor.copy("COPY told FROM STDIN") as copy:
                copy.write(b"".join(EventRow.of(f"{n}-0", e).line for n, e in enumerate(events)))
            cursor.execute("SELECT * FROM told")
            names = [column.name for column in cursor.description or ()]
            found = [dict(zip(names, row, strict=True)) for row in cursor]
            cursor.execute("TRUNCATE told")
        assert found == [_columns(f"{n}-0", event) for n, event in enumerate(events)]

    holds()
