from __future__ import annotations

from typing import TYPE_CHECKING

from adctl.decisions import CampaignLook, Decision, ImpDecision
from adctl.openrtb import BidRequest, Imp
from daemons.bidder.explanations import Explanations

if TYPE_CHECKING:
    from collections.abc import Iterator

REQUEST = BidRequest(id="r", imp=[Imp(id="1")])
LOOKS = (CampaignLook(1, "hours"),)


class House:
    """Looks into requests, and keeps what is recorded."""

    def __init__(self, every: int) -> None:
        self.decisions: list[Decision] = []
        self.explanations = Explanations(self, self, every)  # type: ignore[arg-type]

    def look(self, request: BidRequest, now_ms: int) -> tuple[CampaignLook, ...]:
        assert (request, now_ms) == (REQUEST, 7)
        return LOOKS

    def record(self, decision: Decision) -> None:
        self.decisions.append(decision)

    def taken(self, count: int, *, imps: int = 1, each_ms: int = 0) -> Iterator[bool]:
        those = (ImpDecision("1", 0),) * imps
        for place in range(count):
            yield self.explanations.takes(
                REQUEST, Decision("r", "default", 7 + place * each_ms, bid=False, imps=those)
            )


def test_one_decision_in_so_many_is_taken() -> None:
    assert list(House(every=3).taken(7)) == [False, False, True, False, False, True, False]


def test_where_requests_are_few_one_is_taken_every_five_seconds() -> None:
    taken = list(House(every=1000).taken(12, each_ms=1000))
    assert [second for second, one in enumerate(taken) if one] == [5, 10]


def test_none_is_taken_where_it_is_switched_off() -> None:
    assert not any(House(every=0).taken(5))


def test_request_that_was_refused_as_a_whole_is_not_looked_into() -> None:
    assert not any(House(every=1).taken(5, imps=0))


def test_what_is_taken_is_recorded_once_with_what_was_found() -> None:
    house = House(every=1)
    assert all(house.taken(2))
    assert house.decisions == []
    assert house.explanations.explain_one()
    assert [decision.looks for decision in house.decisions] == [LOOKS]
    house.explanations.close()
    assert [decision.looks for decision in house.decisions] == [LOOKS, LOOKS]
    assert not house.explanations.explain_one()
