from __future__ import annotations

from prometheus_client import CollectorRegistry

from adctl.decisions import Decision
from daemons.bidder.metrics import BidderMetrics

BID = Decision("r", "default", 0, bid=True)


class House:
    def __init__(self) -> None:
        self.now = 100.0
        self.registry = CollectorRegistry()
        self.metrics = BidderMetrics(self.registry, lambda: self.now)

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)


def test_seconds_are_in_the_bucket_they_would_have_been_observed_in() -> None:
    house = House()
    for seconds in (0.0001, 0.0005, 0.003, 1.5):
        house.metrics.count_answer(BID, 1, seconds)
    house.metrics.publish()
    buckets = [house.value("adctl_bid_seconds_bucket", le=le) for le in ("0.0005", "0.005", "+Inf")]
    assert buckets == [2, 3, 4]
    assert house.value("adctl_bid_seconds_count") == 4
    assert house.value("adctl_bid_seconds_sum") == 1.5036


def test_bids_and_outcomes_are_counted() -> None:
    house = House()
    house.metrics.count_answer(BID, 2, 0.001)
    house.metrics.count("malformed")
    house.metrics.publish()
    assert house.value("adctl_bids_total") == 2
    assert house.value("adctl_bid_requests_total", outcome="bid") == 1
    assert house.value("adctl_bid_requests_total", outcome="malformed") == 1


def test_test_traffic_is_no_bid() -> None:
    house = House()
    house.metrics.count_answer(Decision("r", "default", 0, bid=True, test=True), 1, 0.001)
    house.metrics.publish()
    assert house.value("adctl_bids_total") == 0
    assert house.value("adctl_bid_requests_total", outcome="test") == 1


def test_metrics_are_raised_once_a_second_at_most() -> None:
    house = House()
    for _ in range(2):
        house.metrics.count_answer(BID, 1, 0.001)
        house.metrics.publish()
    assert house.value("adctl_bids_total") == 1
    house.now += 1
    house.metrics.publish()
    assert house.value("adctl_bids_total") == 2
