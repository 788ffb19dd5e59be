"""Events as rows of the event table, in the text that PostgreSQL's COPY takes.

The text is made without a connection, so that it can be made while PostgreSQL is busy. Format:
PostgreSQL's documentation of COPY, "Text Format".
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Self

import msgspec

from adctl.models import Event

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - its text is followed by the zone
_NULL, _FLAGS = r"\N", "ft"
_ESCAPES = {ord("\\"): r"\\", ord("\t"): r"\t", ord("\n"): r"\n", ord("\r"): r"\r"}

COLUMNS = (
    "event_date, event_id, kind, occurred_at, bid_id, campaign_id, creative_id, exchange, "
    "price_cpm_micros, cost_nanos, unpriced, late, test, loss_reason, user_hash, stream_id, "
    "min_to_win_micros, market_bid_ratio_ppm, shown_at, odd, advertiser_id, bid_cpm_micros, site, "
    "country, device, order_id, value_nanos, told_value_nanos, told_currency, attribution"
)
"""What a line holds. A newer migration may have added more to the table, with defaults."""


class UnstorableEventError(ValueError):
    """An event the schema has no place for; the message says why."""


class EventRow(msgspec.Struct, frozen=True, gc=False):
    """An event with its stream id, the date it is filed under, and its line for COPY."""

    stream_id: str
    event: Event
    event_date: date
    line: bytes

    @classmethod
    def of(cls, stream_id: str, event: Event) -> Self:
        """Return an event's row. Raises UnstorableEventError if it has no date or moment, or NULs.

        Whether everything else fits the schema, PostgreSQL finds out.
        """
        if (day := bid_date(event)) is None:
            raise UnstorableEventError(f"event_date {event.event_date!r} is no date")
        try:
            return cls(stream_id, event, day, _line(stream_id, day, event).encode())
        except UnicodeEncodeError as exc:
            raise UnstorableEventError(f"a text is no Unicode: {exc.reason}") from exc


def bid_date(event: Event) -> date | None:
    """Return the date of the bid, which the event is filed under; None if it is no date."""
    return _date(event.event_date)


def _line(stream_id: str, day: date, event: Event) -> str:
    """Return the columns in the order of COLUMNS."""
    texts: tuple[str, ...] = (
        event.event_id,
        event.bid_id,
        event.exchange,
        event.user_hash,
        stream_id,
        event.odd,
        event.site,
        event.country,
        event.device,
        event.order_id,
        event.told_currency,
    )
    all_texts = "".join(texts)
    if "\0" in all_texts:
        raise UnstorableEventError("a text has a NUL character, which PostgreSQL does not store")
    if "\\" in all_texts or "\t" in all_texts or "\n" in all_texts or "\r" in all_texts:
        texts = tuple(text.translate(_ESCAPES) for text in texts)
    event_id, bid_id, exchange, user_hash, stream, odd, site, country, device, order, told = texts
    occurred_at, shown_at = _moment(event.occurred_at_ms, "occurred_at_ms"), event.shown_at_ms
    return (
        f"{_iso(day)}\t{event_id}\t{event.kind}\t{occurred_at}\t"
        f"{bid_id}\t{event.campaign_id}\t{event.creative_id}\t{exchange}\t"
        f"{event.price_cpm_micros}\t{event.cost_nanos}\t{_FLAGS[event.unpriced]}\t"
        f"{_FLAGS[event.late]}\t{_FLAGS[event.test]}\t{event.loss_reason}\t{user_hash}\t{stream}\t"
        f"{_number(event.min_to_win_micros)}\t{_number(event.market_bid_ratio_ppm)}\t"
        f"{_NULL if shown_at is None else _moment(shown_at, 'shown_at_ms')}\t{odd}\t"
        f"{event.advertiser_id}\t{event.bid_cpm_micros}\t{site}\t{country}\t{device}\t"
        f"{order}\t{_number(event.value_nanos)}\t{_number(event.told_value_nanos)}\t{told}\t"
        f"{event.attribution}\n"
    )


def _number(value: int | None) -> str | int:
    return _NULL if value is None else value


def _moment(at_ms: int, name: str) -> str:
    """Return a moment as ISO 8601, exact to its millisecond."""
    at_sec, ms = divmod(at_ms, 1000)
    try:
        return f"{_second(at_sec)}.{ms:03}Z"
    except OverflowError as exc:
        raise UnstorableEventError(f"{name} {at_ms} is no date") from exc


# Events come in the order of time: one after the other is of the same day and second.
_iso = lru_cache(16)(date.isoformat)


@lru_cache(16)
def _date(event_date: str) -> date | None:
    try:
        return date.fromisoformat(event_date)
    except ValueError:
        return None


@lru_cache(256)
def _second(at_sec: int) -> str:
    return (_EPOCH + timedelta(seconds=at_sec)).isoformat()
