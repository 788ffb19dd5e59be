from __future__ import annotations

from prometheus_client import CollectorRegistry

from adctl.decisions import CandidateOutcome, Decision, ImpDecision
from daemons.bidder.campaign_outcomes import MOST_CAMPAIGNS, CampaignOutcomes


class House:
    """Outcomes that are counted, and a clock that is set."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.now = 1.0
        self.outcomes = CampaignOutcomes(self.registry, lambda: self.now)

    def add(
        self, campaign_id: int, reason: str = "", *, passed: str = "", test: bool = False
    ) -> None:
        candidates = (CandidateOutcome(campaign_id, 1, 1, reason),)
        passed_over = (CandidateOutcome(campaign_id, 0, 1, passed),) if passed else ()
        imp = ImpDecision("1", 0, candidates=candidates, passed_over=passed_over)
        self.outcomes.add(Decision("r", "default", 0, bid=True, imps=(imp,), test=test))

    def value(self, campaign: str, outcome: str) -> float | None:
        labels = {"campaign": campaign, "outcome": outcome}
        return self.registry.get_sample_value("adctl_campaign_outcomes_total", labels)


def test_candidates_and_those_passed_over_are_counted_by_outcome() -> None:
    house = House()
    house.add(1)
    house.add(1, "outbid", passed="blocked_category")
    house.outcomes.publish()
    assert [house.value("1", word) for word in ("won", "outbid", "blocked_category")] == [1, 1, 1]


def test_test_traffic_is_not_counted() -> None:
    house = House()
    house.add(1, test=True)
    house.outcomes.publish()
    assert house.value("1", "won") is None


def test_only_the_campaigns_with_the_most_outcomes_have_labels_of_their_own() -> None:
    house = House()
    for campaign_id in range(1, MOST_CAMPAIGNS + 3):
        for _ in range(campaign_id):
            house.add(campaign_id)
    house.outcomes.publish()
    assert house.value("1", "won") is None
    assert house.value("other", "won") == 1 + 2
    assert house.value("3", "won") == 3


def test_metric_is_written_once_a_second_at_most() -> None:
    house = House()
    house.add(1)
    house.outcomes.publish()
    house.add(1)
    house.outcomes.publish()
    assert house.value("1", "won") == 1
    house.now += 1
    house.outcomes.publish()
    assert house.value("1", "won") == 2
