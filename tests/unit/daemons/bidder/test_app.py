from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from falcon import testing
from prometheus_client import CollectorRegistry

from adctl.decisions import Decision
from adctl.delivery.bidding import Answer
from adctl.errors import StoreUnavailableError
from daemons.bidder.app import create_app
from daemons.bidder.metrics import BidderMetrics

if TYPE_CHECKING:
    from collections.abc import Generator

    from adctl.openrtb import BidRequest

BODY = json.dumps({"id": "r", "imp": [{"id": "1"}]}).encode()


class House:
    """A bidder that has nothing to say, or breaks, and what came of it."""

    def __init__(self, fault: Exception | None = None, missing: str = "") -> None:
        self.registry = CollectorRegistry()
        self.metrics = BidderMetrics(self.registry)
        self.decisions: list[Decision] = []
        self.fault, self.missing = fault, missing
        checks = {"redis": self.check}
        self.taken = False
        app = create_app(
            self,  # type: ignore[arg-type]
            self,
            self.metrics,
            self.registry,
            checks,
            1000,
            takes=lambda _request, _decision: self.taken,
        )
        self.client = testing.TestClient(app)

    ledger = None

    def steps(self, request: BidRequest, exchange: str) -> Generator[None, None, Answer]:
        yield None
        if self.fault:
            raise self.fault
        return Answer(Decision(request.id, exchange, 0, bid=False, reason="no_campaign"))

    def record(self, decision: Decision) -> None:
        self.decisions.append(decision)

    def check(self) -> None:
        if self.missing:
            raise StoreUnavailableError(self.missing)

    def post(self, body: bytes = BODY) -> testing.Result:
        return self.client.simulate_post("/bid-request", body=body)

    def value(self, name: str, **labels: str) -> float | None:
        self.metrics.publish(now=True)
        return self.registry.get_sample_value(name, labels)


def test_decision_that_is_taken_for_an_explanation_is_not_recorded_at_once() -> None:
    house = House()
    house.taken = True
    house.post()
    assert house.decisions == []


@pytest.mark.parametrize(
    "fault", [RuntimeError("a fault"), KeyError("a"), StoreUnavailableError("away"), OSError(5)]
)
def test_fault_of_ours_is_a_no_bid_that_is_counted(fault: Exception) -> None:
    house = House(fault)
    reply = house.post()
    assert (reply.status_code, reply.content) == (204, b"")
    assert house.value("adctl_bid_failures_total") == 1
    assert not house.decisions


def test_every_decision_is_recorded_and_counted_by_its_reason() -> None:
    house = House()
    assert house.post().status_code == 204
    assert [(one.request_id, one.exchange) for one in house.decisions] == [("r", "default")]
    assert house.value("adctl_bid_requests_total", outcome="no_campaign") == 1
    assert house.value("adctl_bid_seconds_count") == 1


def test_malformed_request_is_counted_and_never_decided_on() -> None:
    house = House()
    reply = house.post(b"{")
    assert (reply.status_code, reply.content) == (400, b"")
    assert house.value("adctl_bid_requests_total", outcome="malformed") == 1
    assert not house.decisions


def test_attributes_that_were_not_of_their_type_are_counted_by_what_became_of_them() -> None:
    house = House()
    imps = [{"id": "1"}, {"id": "2", "secure": "maybe"}, {"id": "3", "secure": "perhaps"}]
    body = {"id": "r", "imp": imps, "tmax": "soon", "device": {"lmt": "x", "devicetype": "4"}}
    assert house.post(json.dumps(body).encode()).status_code == 204
    for attribute, outcome in {
        "imp.secure": "refused",
        "tmax": "dropped",
        "device.lmt": "strict",
        "device.devicetype": "read",
    }.items():
        labels = {"attribute": attribute, "outcome": outcome}
        assert house.value("adctl_bid_request_attributes_total", **labels) == 1


def test_body_of_just_the_limit_is_read_and_a_byte_more_is_not() -> None:
    house = House()
    assert house.post(BODY.ljust(1000)).status_code == 204
    assert house.post(BODY.ljust(1001)).status_code == 400


def test_readiness_names_what_is_missing() -> None:
    reply = House(missing="Redis did not answer").client.simulate_get("/health/ready")
    assert reply.status_code == 503
    assert reply.json["checks"] == {"redis": "Redis did not answer"}


def test_process_without_its_stores_still_lives() -> None:
    house = House(missing="Redis did not answer")
    assert house.client.simulate_get("/health/live").status_code == 200
