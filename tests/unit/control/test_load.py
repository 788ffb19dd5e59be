from __future__ import annotations

import pytest

from adctl.control.load import Endpoint, Load, find_limit, read_endpoint


def load(**changes: object) -> Load:
    return Load(100, 1, 50, 50, {}, 1, 2, 3, 4, 5, 0)._replace(**changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("limit", [3, 90, 500, 1234, 20_000])
def test_the_highest_rate_that_holds_is_found_to_a_twentieth(limit: float) -> None:
    def measure(per_sec: float) -> Load:
        return load(asked_per_sec=per_sec, p99_ms=10 if per_sec <= limit else 1000)

    tried = list(find_limit(measure, 100))
    best = max(one.asked_per_sec for one in tried if one.holds(100))
    assert limit * 0.95 - 1 <= best <= limit
    assert len(tried) < 40


def test_no_rate_may_hold() -> None:
    tried = list(find_limit(lambda rate: load(asked_per_sec=rate, errors={"x": 1}), 100))
    assert not any(one.holds(100) for one in tried)


def test_a_rate_that_failed_by_accident_has_a_second_try() -> None:
    failed: set[float] = set()

    def measure(per_sec: float) -> Load:
        accident = per_sec not in failed
        failed.add(per_sec)
        return load(asked_per_sec=per_sec, p99_ms=1 if per_sec <= 900 and not accident else 1000)

    tried = find_limit(measure, 100)
    assert max(one.asked_per_sec for one in tried if one.holds(100)) > 850


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("http://b:8080/bid-request/x", Endpoint("b", 8080, "/bid-request/x")),
        ("https://b", Endpoint("b", 443, "/", tls=True)),
        ("http://[::1]:80/b", Endpoint("::1", 80, "/b")),
        ("ftp://b/", None),
        ("http://b:port/", None),
        ("b:8080", None),
        ("", None),
    ],
)
def test_an_endpoint_is_an_http_url(url: str, endpoint: Endpoint | None) -> None:
    assert read_endpoint(url) == endpoint
