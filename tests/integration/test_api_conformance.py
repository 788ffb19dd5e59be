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

from adctl.control import advertisers, campaigns, creatives
from adctl.control.plane import open_plane
from daemons.api.app import create_app
from daemons.api.openapi import openapi_document
from tests.conftest import empty_tables

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg
    import redis

    from adctl.config import Settings
    from adctl.control.plane import ControlPlane

CASES = int(os.environ.get("CONFORMANCE_CASES", "250"))
SCENARIOS, STEPS = 20, 15
HIGHEST_ID = 4
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
USABLE: dict[str, dict[str, Any]] = {
    "createAdvertiser": {},
    "createCampaign": {"budget": "500", "bid": "2.00"},
    "createCreative": {
        "size": "300x250",
        "landing_url": "https://www.acme.example/",
        "image_url": "https://cdn.acme.example/box.png",
    },
}


class World:
    """An api on stores that are the same at the beginning of every scenario."""

    def __init__(
        self, plane: ControlPlane, postgres: psycopg.Connection, settings: Settings
    ) -> None:
        self.app = create_app(plane, CollectorRegistry(), settings.api)
        self._plane = plane
        self._postgres = postgres

    def begin(self) -> None:
        empty_tables(self._postgres)
        for name in ("Acme", "Globex", "Initech"):
            owner = advertisers.create(self._plane, "ann", {"name": name}).view.id
            campaign = {**USABLE["createCampaign"], "name": name, "advertiser": owner}
            made = campaigns.create(self._plane, "ann", campaign).view.id
            creatives.create(self._plane, "ann", made, {**USABLE["createCreative"], "name": name})


@pytest.fixture
def world(
    settings: Settings, postgres: psycopg.Connection, redis_client: redis.Redis
) -> Iterator[World]:
    with open_plane(settings) as plane:
        yield World(plane, postgres, settings)


class Requests:
    """What was asked and answered."""

    def __init__(self) -> None:
        self.made = 0
        self.answers: Counter[tuple[str, int]] = Counter()
        self._numbers = itertools.count()

    def begin(self) -> None:
        """Number the requests of a scenario from the beginning: it has to be repeatable."""
        self._numbers = itertools.count()

    def prepare(self, case: schemathesis.Case) -> None:
        """Give two of three requests what a schema alone seldom hits.

        So ids that were made up become low ones, of things that are there or will be; and what is
        to be made can be.
        """
        number = next(self._numbers)
        if number % 3 == 0:
            return
        given = case.path_parameters.get("id")
        if isinstance(given, int) and given > HIGHEST_ID:
            case.path_parameters["id"] = 1 + given % HIGHEST_ID
        operation = case.operation.definition.raw["operationId"]
        if operation in USABLE and isinstance(case.body, dict):
            case.body = {**USABLE[operation], "name": f"n{number}"}
            if operation == "createCampaign":
                case.body["advertiser"] = 1 + number % HIGHEST_ID

    def note(self, case: schemathesis.Case, status: int) -> None:
        self.made += 1
        self.answers[case.operation.definition.raw["operationId"], status] += 1


def machine(world: World, requests: Requests) -> type[Any]:
    schema = schemathesis.openapi.from_wsgi("/openapi.json", world.app)

    class Workflow(schema.as_state_machine()):  # type: ignore[misc]
        def setup(self) -> None:
            world.begin()
            requests.begin()

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
def test_whatever_follows_from_an_answer_is_taken_or_refused_for_a_reason(world: World) -> None:
    requests = Requests()
    for number in itertools.count():
        workflow = machine(world, requests)
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
    done = {name for (name, status), _ in requests.answers.items() if status < 300}
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
