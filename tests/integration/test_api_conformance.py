"""The api under requests that follow one another along the links of its own document.

CONFORMANCE_CASES says how many requests are made at least; `make conformance` asks for 3,000.
"""

from __future__ import annotations

import itertools
import os
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, seed
from hypothesis import settings as hypothesis_settings
from prometheus_client import CollectorRegistry
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from adctl.control.plane import open_plane
from daemons.api.app import create_app
from daemons.api.openapi import openapi_document

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg
    import redis

    from adctl.config import Settings

CASES = int(os.environ.get("CONFORMANCE_CASES", "300"))
SCENARIOS, STEPS = 20, 15
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    allow_header_conformance,
    unsupported_method,
]
# What a schema alone seldom hits, so that the rest of a scenario has something to work on.
USABLE: dict[str, dict[str, Any]] = {
    "createAdvertiser": {},
    "createCampaign": {"budget": "500", "bid": "2.00"},
    "createCreative": {
        "size": "300x250",
        "landing_url": "https://www.acme.example/",
        "image_url": "https://cdn.acme.example/box.png",
    },
}


@pytest.fixture
def app(
    settings: Settings, postgres: psycopg.Connection, redis_client: redis.Redis
) -> Iterator[Any]:
    with open_plane(settings) as plane:
        yield create_app(plane, CollectorRegistry(), settings.api)


class Requests:
    """What was asked and answered."""

    def __init__(self) -> None:
        self.made = 0
        self.answers: Counter[tuple[str, int]] = Counter()
        self._numbers = itertools.count()

    def prepare(self, case: schemathesis.Case) -> None:
        """Give two of three things to be made what they need: the document's links stay."""
        operation = case.operation.definition.raw["operationId"]
        if operation not in USABLE or not isinstance(case.body, dict):
            return
        number = next(self._numbers)
        if number % 3:
            owner = {key: value for key, value in case.body.items() if key == "advertiser"}
            case.body = {**owner, **USABLE[operation], "name": f"n{number}"}
            case.media_type = "application/json"
            case._meta = None

    def note(self, case: schemathesis.Case, status: int) -> None:
        self.made += 1
        self.answers[case.operation.definition.raw["operationId"], status] += 1


def machine(app: Any, requests: Requests) -> type[Any]:
    schema = schemathesis.openapi.from_wsgi("/openapi.json", app)

    class Workflow(schema.as_state_machine()):  # type: ignore[misc]
        def before_call(self, case: schemathesis.Case) -> None:
            requests.prepare(case)

        def after_call(self, response: Any, case: schemathesis.Case) -> None:
            requests.note(case, response.status_code)

        def validate_response(
            self, response: Any, case: schemathesis.Case, **_more: object
        ) -> None:
            case.validate_response(response, checks=CHECKS)

    return Workflow


@pytest.mark.timeout(0 if CASES > 1000 else 120)
def test_whatever_follows_from_an_answer_is_taken_or_refused_for_a_reason(app: Any) -> None:
    requests = Requests()
    for number in itertools.count():
        workflow = machine(app, requests)
        seed(number)(workflow)
        workflow.run(
            settings=hypothesis_settings(
                max_examples=SCENARIOS,
                stateful_step_count=STEPS,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                phases=[Phase.generate],
                database=None,
            )
        )
        if requests.made >= CASES:
            break
    print(requests.made, sorted(requests.answers.items()))
    done = {name for (name, status), _ in requests.answers.items() if status < 300}
    assert requests.made >= CASES
    assert {"createCampaign", "createCreative", "pauseCampaign", "archiveCampaign"} <= done


def test_every_link_leads_to_an_operation_and_a_parameter_of_it() -> None:
    paths = openapi_document()["paths"]
    operations = {
        operation["operationId"]: operation
        for path in paths.values()
        for operation in path.values()
    }
    assert len(operations) == sum(len(path) for path in paths.values())
    links = [
        link
        for operation in operations.values()
        for answer in operation["responses"].values()
        for link in answer.get("links", {}).values()
    ]
    assert len(links) > 50
    for link in links:
        known = {
            f"{parameter['in']}.{parameter['name']}"
            for parameter in operations[link["operationId"]].get("parameters", [])
        }
        assert link.get("parameters", {}).keys() <= known
