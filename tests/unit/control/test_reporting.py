from __future__ import annotations

from datetime import UTC, datetime

import pytest

from adctl.control.periods import parse_period
from adctl.control.reporting import PerformanceRow, Totals, sum_of
from adctl.errors import FaultyInputError

NOW = datetime(2026, 11, 23, 6, 8, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("since", "until", "timezone", "expected"),
    [
        ("24h", None, "UTC", ("2026-11-22T06:00", "2026-11-23T07:00")),
        ("1w", "1d", "UTC", ("2026-11-16T06:00", "2026-11-22T07:00")),
        ("2026-11-01", "2026-11-02", "UTC", ("2026-11-01T00:00", "2026-11-02T00:00")),
        ("2026-11-01", "2026-11-02", "Asia/Tokyo", ("2026-10-31T15:00", "2026-11-01T15:00")),
        ("2026-11-01T10:30+02:00", None, "Asia/Tokyo", ("2026-11-01T08:00", "2026-11-23T07:00")),
        # Half-hour zones are widened to the whole hours that rollups have.
        ("2026-11-01", "2026-11-02", "Asia/Kolkata", ("2026-10-31T18:00", "2026-11-01T19:00")),
    ],
)
def test_a_period_is_widened_to_whole_hours(
    since: str, until: str | None, timezone: str, expected: tuple[str, str]
) -> None:
    period = parse_period(since, until, timezone, NOW)
    began, ended = (f"{at.astimezone(UTC):%Y-%m-%dT%H:%M}" for at in (period.since, period.until))
    assert (began, ended) == expected


def test_a_period_is_told_in_its_zone() -> None:
    told = str(parse_period("2026-11-01", "2026-11-02", "Europe/Paris", NOW))
    assert told == "2026-11-01 00:00 to 2026-11-02 00:00 Europe/Paris"


@pytest.mark.parametrize(
    ("since", "until", "timezone", "fields"),
    [
        ("", None, "UTC", ["--since"]),
        ("24x", "99999h", "UTC", ["--since", "--until"]),
        ("0001-01-01", None, "UTC", ["--since"]),
        ("24h", "9999-12-31T23:59", "UTC", ["--until"]),
        ("24h", "2026-13-01", "Mars/Olympus", ["--timezone", "--until"]),
        ("24h", None, "../etc/passwd", ["--timezone"]),
        ("24h", None, "", ["--timezone"]),
        ("1h", "2h", "UTC", ["--since"]),
    ],
)
def test_every_fault_of_a_period_is_reported(
    since: str, until: str | None, timezone: str, fields: list[str]
) -> None:
    with pytest.raises(FaultyInputError) as caught:
        parse_period(since, until, timezone, NOW)
    assert [fault.field for fault in caught.value.faults] == fields


def test_ecpm_is_exact_and_rounded_down() -> None:
    assert Totals(impressions=1, spend_nanos=2_500_000).ecpm_micros == 2_500_000
    assert Totals(impressions=3, spend_nanos=2**62).ecpm_micros == 2**62 // 3
    assert Totals(impressions=0, spend_nanos=5).ecpm_micros is None


def test_rates_of_nothing_are_unknown() -> None:
    empty = Totals()
    assert (empty.win_rate, empty.ctr, empty.cvr) == (None, None, None)


def test_totals_add_every_column_up() -> None:
    rows = [
        PerformanceRow({}, Totals(1, 2, 3, 4, 5, 6)),
        PerformanceRow({}, Totals(10, 0, 0, 0, 0, 1)),
    ]
    assert sum_of(rows) == Totals(11, 2, 3, 4, 5, 7)
    assert sum_of([]) == Totals()
