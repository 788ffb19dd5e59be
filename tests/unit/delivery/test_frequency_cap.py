from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from adctl.delivery.frequency_cap import (
    CapUsage,
    bucket_fields,
    hold_fields,
    usage,
)
from adctl.models import FrequencyCap

DAY = FrequencyCap(limit=3, window_sec=86_400)
EIGHTH_MS = 86_400 * 125
NOW_MS = 1_000 * EIGHTH_MS + 5


def test_a_window_counts_its_current_and_eight_older_eighths() -> None:
    assert bucket_fields(7, 86_400, NOW_MS) == [
        f"7:86400:{n}" for n in (1000, 999, 998, 997, 996, 995, 994, 993, 992)
    ]


def test_holds_count_in_the_current_and_the_last_period() -> None:
    assert hold_fields(7, 120, 120_000 * 50 + 1) == ["7:h:50", "7:h:49"]


def test_impressions_and_bids_in_flight_both_count() -> None:
    fields = {"7:86400:1000": "1", "7:86400:992": "1", f"7:h:{NOW_MS // 120_000}": "1"}
    (used,) = usage(fields, [DAY], 7, NOW_MS, 120)
    assert (used.counted, used.held) == (2, 1)
    assert used.reached


def test_what_has_left_the_window_does_not_count() -> None:
    fields = {"7:86400:991": "5", f"7:h:{NOW_MS // 120_000 - 2}": "5"}
    (used,) = usage(fields, [DAY], 7, NOW_MS, 120)
    assert used == CapUsage(limit=3, window_sec=86_400, counted=0, held=0, frees_at_ms=None)


def test_another_campaign_s_impressions_do_not_count() -> None:
    (used,) = usage({"70:86400:1000": "3", "7:3600:1000": "3"}, [DAY], 7, NOW_MS, 120)
    assert used.counted == 0


def test_a_reached_cap_frees_when_enough_has_left_its_window() -> None:
    fields = {"7:86400:993": "1", "7:86400:995": "2", "7:86400:1000": "1"}
    (used,) = usage(fields, [DAY], 7, NOW_MS, 120)
    # Four stand; the one of bucket 993 leaves first, but only with the next two there is room.
    assert used.frees_at_ms == (995 + 9) * EIGHTH_MS


def test_a_hold_frees_its_place_after_two_periods() -> None:
    (used,) = usage({"7:h:100": "1"}, [FrequencyCap(1, 3600)], 7, 120_000 * 100, 120)
    assert used.frees_at_ms == 120_000 * 102


def test_a_cap_of_nothing_never_frees() -> None:
    (used,) = usage({}, [FrequencyCap(0, 60)], 7, NOW_MS, 120)
    assert used.reached
    assert used.frees_at_ms is None


def test_every_cap_is_told() -> None:
    fields = {bucket_fields(7, window, NOW_MS)[0]: "1" for window in (86_400, 3_600)}
    caps = [DAY, FrequencyCap(limit=1, window_sec=3_600)]
    assert [used.reached for used in usage(fields, caps, 7, NOW_MS, 120)] == [False, True]


@given(
    window_sec=st.integers(60, 30 * 86_400),
    shown_ms=st.lists(st.integers(0, 4 * 10**9), max_size=20),
    now_ms=st.integers(0, 4 * 10**9),
)
def test_a_window_is_never_counted_short_and_at_most_an_eighth_too_long(
    window_sec: int, shown_ms: list[int], now_ms: int
) -> None:
    fields: dict[str, str] = {}
    past = [at for at in shown_ms if at <= now_ms]
    for at in past:
        field = bucket_fields(7, window_sec, at)[0]
        fields[field] = str(int(fields.get(field, "0")) + 1)
    (used,) = usage(fields, [FrequencyCap(1, window_sec)], 7, now_ms, 120)
    window_ms = window_sec * 1000
    exact = sum(now_ms - at < window_ms for at in past)
    longest = sum(now_ms - at < window_ms + window_ms // 8 for at in past)
    assert exact <= used.counted <= longest


@given(window_sec=st.integers(60, 10**6), shown=st.integers(0, 10**9), limit=st.integers(1, 3))
def test_a_cap_is_free_when_it_said_it_would_be(window_sec: int, shown: int, limit: int) -> None:
    fields = {bucket_fields(7, window_sec, shown)[0]: str(limit)}
    cap = FrequencyCap(limit, window_sec)
    (used,) = usage(fields, [cap], 7, shown, 120)
    assert used.frees_at_ms is not None
    assert usage(fields, [cap], 7, used.frees_at_ms - 1, 120)[0].reached
    assert not usage(fields, [cap], 7, used.frees_at_ms, 120)[0].reached
