from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from adctl.control.parts import DAY, HOUR, days_between, ranges, whole_hour_from
from adctl.stores.rollups import ALWAYS, FOREVER

NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)
hours = st.sets(st.integers(-60, 60)).map(lambda drawn: [NOON + n * HOUR for n in sorted(drawn)])
moments = st.timedeltas(timedelta(0), timedelta(days=4000)).map(lambda passed: NOON + passed)


@given(hours)
def test_ranges_hold_just_their_hours_and_none_is_of_two_days(parts: list[datetime]) -> None:
    found = ranges(parts, HOUR)
    inside = [b + n * HOUR for b, e in found for n in range((e - b) // HOUR)]
    assert inside == parts
    assert all(begins.date() == (ends - HOUR).date() for begins, ends in found)


def test_days_side_by_side_are_ranges_of_their_own() -> None:
    days = [NOON.replace(hour=0) + n * DAY for n in range(2)]
    assert ranges(days, DAY) == [(day, day + DAY) for day in days]


@given(moments, st.timedeltas(timedelta(0), timedelta(days=20)), st.booleans())
def test_days_between_leave_no_moment_out_and_have_none_twice(
    first: datetime, passed: timedelta, always: bool
) -> None:
    since = ALWAYS if always else first.replace(minute=0, second=0, microsecond=0)
    found = days_between(since, first, first + passed)
    assert (found[0][0], found[-1][1]) == (since, FOREVER)
    assert all(ends == begins for (_, ends), (begins, _) in pairwise(found))
    assert all(at == at.replace(hour=0, minute=0, second=0, microsecond=0) for _, at in found)
    assert len(found) <= passed // DAY + 2


@given(moments, st.sampled_from([0, 330, 345, -210]))
def test_no_hour_that_began_before_a_moment_is_wholly_after_it(
    moment: datetime, minutes: int
) -> None:
    zone = timezone(timedelta(minutes=minutes))
    begins = whole_hour_from(moment.astimezone(zone))
    assert begins >= moment > begins - HOUR
    assert (begins.minute, begins.second, begins.microsecond) == (0, 0, 0)
