from __future__ import annotations

from datetime import UTC, datetime

import pytest

from adctl.config_keys import parse_signing_keys
from adctl.control.durations import seconds_of
from adctl.control.periods import parse_period
from adctl.errors import FaultyInputError

OTHER_DIGITS = ["\u0663", "\uff13", "\u096b", "3_0"]


def test_duration_is_read_with_its_unit() -> None:
    assert [seconds_of(text) for text in ("90", "30s", "5m", "1h")] == [90, 30, 300, 3600]


@pytest.mark.parametrize("digits", OTHER_DIGITS)
def test_numbers_that_people_type_have_the_digits_of_ascii(digits: str) -> None:
    assert seconds_of(f"{digits}m") is None
    with pytest.raises(FaultyInputError):
        parse_period(f"{digits}d", None, "UTC", datetime(2026, 1, 1, tzinfo=UTC))
    with pytest.raises(ValueError, match="ID"):
        parse_signing_keys(f"{digits}:{bytes(32).hex()}")
