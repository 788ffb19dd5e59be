"""The api's promises, through its WSGI app on real PostgreSQL and Valkey."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from unittest import SkipTest

import falcon.testing
import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis.errors import Unsatisfiable
from prometheus_client import CollectorRegistry
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from adctl.control.plane import ControlPlane, open_plane
from adctl.errors import StoreUnavailableError
from adctl.models import Campaign, Creative
from adctl.stores import keys
from adctl.stores.budgets import Budgets
from adctl.stores.catalog import CatalogStore
from adctl.stores.catalog_api import CatalogApi
from adctl.stores.redis import connect
from adctl.stores.tables import open_engine
from daemons.api.app import create_app
from daemons.api.openapi import openapi_document
from daemons.api.resources import MAX_BODY_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import psycopg
    import redis
    from falcon import App, Request, Response

    from adctl.config import Settings
    from adctl.stores.endpoints import Endpoints

CAMPAIGN = {"advertiser": "Acme", "name": "Spring", "budget": "500", "bid": "2.00"}
BANNER = {
    "name": "box",
    "size": "300x250",
    "landing_url": "https://www.acme.example/spring",
    "image_url": "https://cdn.acme.example/box.png",
}


@pytest.fixture
def app(
    settings: Settings, postgres: psycopg.Connection, redis_client: redis.Redis
) -> Iterator[App[Request, Response]]:
    with open_plane(settings) as plane:
        yield create_app(plane, CollectorRegistry(), settings.api)


@pytest.fixture
def client(app: App[Request, Response]) -> falcon.testing.TestClient:
    api = falcon.testing.TestClient(app, headers={"X-Actor": "ann", "Host": "localhost"})
    assert api.simulate_post("/advertisers", json={"name": "Acme"}).status_code == 201
    return api


@pytest.fixture
def spring(client: falcon.testing.TestClient) -> int:
    return int(client.simulate_post("/campaigns", json=CAMPAIGN).json["id"])


@pytest.fixture
def stores_down(settings: Settings) -> Iterator[falcon.testing.TestClient]:
    engine = open_engine("postgresql://adctl@127.0.0.1:1/adctl", settings.postgres)
    with connect("redis://127.0.0.1:1/0", settings.redis) as nowhere:
        plane = ControlPlane(engine, CatalogStore(nowhere), Budgets(nowhere))
        app = create_app(plane, CollectorRegistry(), settings.api)
        yield falcon.testing.TestClient(app, headers={"Host": "localhost"})
    engine.dispose()


def post_json(client: falcon.testing.TestClient, body: bytes) -> falcon.testing.Result:
    return client.simulate_post("/campaigns", body=body, content_type=falcon.MEDIA_JSON)


def test_created_campaign_answers_201_with_its_id_and_location(
    client: falcon.testing.TestClient,
) -> None:
    created = client.simulate_post("/campaigns", json=CAMPAIGN)
    assert created.status_code == 201
    assert created.headers["location"] == f"/campaigns/{created.json['id']}"
    shown = client.simulate_get(created.headers["location"])
    assert shown.json == created.json
    assert (shown.json["budget"], shown.json["currency"]) == ("500.00", "USD")


def test_a_body_may_begin_with_a_byte_order_mark(client: falcon.testing.TestClient) -> None:
    assert post_json(client, b"\xef\xbb\xbf" + msgspec.json.encode(CAMPAIGN)).status_code == 201


def test_faults_come_together_as_422(client: falcon.testing.TestClient) -> None:
    answer = client.simulate_post(
        "/campaigns", json={**CAMPAIGN, "budget": 500, "bid": "0", "nmae": "x"}
    )
    assert answer.status_code == 422
    faults = {fault["field"]: fault["expected"] for fault in answer.json["faults"]}
    assert set(faults) == {"budget", "bid", "nmae"}
    assert "quotes" in faults["budget"]
    assert "name" in faults["nmae"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b'{"name":"\\ud800"}'])
def test_body_that_is_no_json_object_is_400(client: falcon.testing.TestClient, body: bytes) -> None:
    assert post_json(client, body).status_code == 400


def test_deeply_nested_body_is_400(client: falcon.testing.TestClient) -> None:
    body = b'{"a":' * 100_000
    assert post_json(client, body).status_code == 400


AMPLIFYING = {
    "unknown fields": {f"x{n}": 0 for n in range(60_000)},
    "unknown fields in a table": {**CAMPAIGN, "targeting": {f"x{n}": 0 for n in range(60_000)}},
    "countries nobody knows": {
        **CAMPAIGN,
        "targeting": {"countries": [f"{n}" for n in range(9000)]},
    },
    "a long list for a text": {**CAMPAIGN, "name": [0] * 300_000},
    "a field of lists in lists": {**CAMPAIGN, "name": [[[[[0]]]]]},
    "lists in lists by the hundred": b'{"name":' + b"[" * 500 + b"]" * 500 + b"}",
    "tables in tables by the hundred": b'{"a":' * 300 + b"0" + b"}" * 300,
    "a number of thousands of digits": b'{"name":' + b"9" * 4000 + b"}",
    "a number that is none": b'{"name":NaN}',
    "half a character": b'{"name":"\\ud800"}',
    "bytes that are no text": b'{"name":"\xff"}',
    "one field again and again": b"{" + b'"name":"x",' * 50_000 + b'"name":1}',
}


@pytest.mark.parametrize("body", AMPLIFYING.values(), ids=AMPLIFYING.keys())
def test_whatever_is_wrong_with_a_body_is_told_in_few_words(
    client: falcon.testing.TestClient, body: object
) -> None:
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    for path in ("/campaigns", "/advertisers"):
        reply = client.simulate_post(path, body=raw, content_type="application/json")
        assert 400 <= reply.status_code < 500
        assert len(reply.content) < 20_000


def test_body_over_the_limit_is_413(client: falcon.testing.TestClient) -> None:
    assert post_json(client, b" " * (MAX_BODY_BYTES + 1)).status_code == 413


@pytest.mark.parametrize("content_type", [falcon.MEDIA_URLENCODED, falcon.MEDIA_TEXT, None])
def test_body_of_another_type_is_415(
    client: falcon.testing.TestClient, content_type: str | None
) -> None:
    answer = client.simulate_post("/campaigns", body=b"{}", content_type=content_type)
    assert answer.status_code == 415


@pytest.mark.parametrize("path", ["/campaigns/999", "/campaigns/99999999999", "/campaigns/x", "/x"])
def test_what_is_not_there_is_404(client: falcon.testing.TestClient, path: str) -> None:
    answer = client.simulate_get(path)
    assert answer.status_code == 404
    assert answer.json["faults"] == []


@pytest.mark.parametrize("listing", ["/campaigns", "/catalog"])
def test_id_is_written_in_the_digits_of_ascii(
    client: falcon.testing.TestClient, spring: int, listing: str
) -> None:
    arabic = "".join([chr(0x660 + int(digit)) for digit in str(spring)])
    for written in (f"0_{spring}", arabic, f"+{spring}"):
        assert client.simulate_get(f"{listing}/{written}").status_code == 404
    assert client.simulate_get(f"{listing}/{spring}").status_code == 200


def test_taken_name_is_409(client: falcon.testing.TestClient, spring: int) -> None:
    assert client.simulate_post("/campaigns", json=CAMPAIGN).status_code == 409


def test_patch_is_a_merge_patch(client: falcon.testing.TestClient, spring: int) -> None:
    client.simulate_patch(f"/campaigns/{spring}", json={"targeting": {"countries": ["US"]}})
    patched = client.simulate_patch(
        f"/campaigns/{spring}", json={"bid": "2.5", "end": "2090-01-31"}
    )
    assert patched.json["bid"] == "2.50"
    assert patched.json["end"] == "2090-02-01T00:00:00+00:00"
    assert patched.json["targeting"] == {"countries": ["USA"]}
    assert client.simulate_patch(f"/campaigns/{spring}", json={"end": None}).json["end"] is None


def test_deleting_archives(client: falcon.testing.TestClient, spring: int) -> None:
    assert client.simulate_delete(f"/campaigns/{spring}").json["status"] == "archived"
    assert client.simulate_get(f"/campaigns/{spring}").json["status"] == "archived"
    assert client.simulate_post(f"/campaigns/{spring}/resume").status_code == 409


def test_history_names_the_actor(client: falcon.testing.TestClient, spring: int) -> None:
    client.simulate_post(f"/campaigns/{spring}/pause", headers={"X-Actor": "bob"})
    entries = client.simulate_get(f"/campaigns/{spring}/history").json
    assert [(entry["actor"], entry["action"]) for entry in entries] == [
        ("ann", "create"),
        ("bob", "pause"),
    ]
    assert entries[1]["changes"] == [{"field": "status", "before": "active", "after": "paused"}]


def test_performance_is_what_the_rollups_say(
    client: falcon.testing.TestClient, postgres: psycopg.Connection, spring: int
) -> None:
    postgres.execute(
        "INSERT INTO rollup_delivery "
        "(hour, campaign_id, creative_id, exchange, bids, impressions, spend_nanos) "
        "VALUES (date_trunc('hour', now()), %s, 1, 'default', 4, 2, 3000000)",
        [spring],
    )
    postgres.commit()
    [row] = client.simulate_get(f"/campaigns/{spring}/performance").json["rows"]
    assert (row["bids"], row["impressions"], row["spend"], row["ecpm"]) == (4, 2, "0.003", "1.50")


def test_faulty_performance_period_is_422(client: falcon.testing.TestClient, spring: int) -> None:
    answer = client.simulate_get(
        f"/campaigns/{spring}/performance", params={"since": "soon", "by": "moon"}
    )
    assert answer.status_code == 422
    assert client.simulate_get("/campaigns/999/performance").status_code == 404


def test_listing_pages(client: falcon.testing.TestClient, spring: int) -> None:
    second = client.simulate_post("/campaigns", json={**CAMPAIGN, "name": "Summer"}).json["id"]
    first_page = client.simulate_get("/campaigns", params={"limit": 1, "advertiser": "Acme"}).json
    assert ([item["id"] for item in first_page["items"]], first_page["next"]) == ([spring], spring)
    last_page = client.simulate_get("/campaigns", params={"after": first_page["next"]}).json
    assert ([item["id"] for item in last_page["items"]], last_page["next"]) == ([second], None)


def test_faulty_query_is_422(client: falcon.testing.TestClient) -> None:
    answer = client.simulate_get("/campaigns?limit=0&after=x&status=activ&colour=red")
    assert answer.status_code == 422
    assert {fault["field"] for fault in answer.json["faults"]} == {
        "limit",
        "after",
        "status",
        "colour",
    }


def test_catalog_holds_what_serves_and_fills_redis(
    client: falcon.testing.TestClient, redis_client: redis.Redis, spring: int
) -> None:
    creative = client.simulate_post(f"/campaigns/{spring}/creatives", json=BANNER).json["id"]
    paused = client.simulate_post(
        "/campaigns", json={**CAMPAIGN, "name": "Paused", "status": "paused"}
    ).json["id"]
    redis_client.flushdb()
    catalog = CatalogStore(redis_client)
    assert catalog.active_ids() is None

    documents = msgspec.json.decode(client.simulate_get("/catalog").content, type=list[Campaign])
    assert [document.id for document in documents] == [spring]
    assert [banner.id for banner in documents[0].creatives] == [creative]
    assert catalog.active_ids() == {spring}
    assert catalog.read([spring, paused]) == {spring: documents[0]}


def test_single_catalog_document_refills_redis(
    client: falcon.testing.TestClient, redis_client: redis.Redis, spring: int
) -> None:
    redis_client.delete(keys.campaign(spring))
    assert client.simulate_get(f"/catalog/{spring}").status_code == 200
    assert redis_client.exists(keys.campaign(spring))
    client.simulate_post(f"/campaigns/{spring}/pause")
    assert client.simulate_get(f"/catalog/{spring}").status_code == 404


def test_archived_creative_still_has_its_landing_page(
    client: falcon.testing.TestClient, spring: int
) -> None:
    number = client.simulate_post(f"/campaigns/{spring}/creatives", json=BANNER).json["id"]
    client.simulate_delete(f"/creatives/{number}")
    document = client.simulate_get(f"/catalog/creatives/{number}").content
    creative = msgspec.json.decode(document, type=Creative)
    assert (creative.campaign_id, creative.landing_url) == (spring, BANNER["landing_url"])


def test_empty_catalog_is_told_from_an_unknown_one(
    client: falcon.testing.TestClient, redis_client: redis.Redis
) -> None:
    assert client.simulate_get("/catalog").json == []
    assert CatalogStore(redis_client).active_ids() == set()


def test_catalog_is_served_while_redis_is_down(
    client: falcon.testing.TestClient, settings: Settings, spring: int
) -> None:
    engine = open_engine(settings.postgres.url.get_secret_value(), settings.postgres)
    with connect("redis://127.0.0.1:1/0", settings.redis) as nowhere:
        plane = ControlPlane(engine, CatalogStore(nowhere), Budgets(nowhere))
        app = create_app(plane, CollectorRegistry(), settings.api)
        cut_off = falcon.testing.TestClient(app, headers={"Host": "localhost"})
        assert [document["id"] for document in cut_off.simulate_get("/catalog").json] == [spring]
        assert cut_off.simulate_get(f"/catalog/{spring}").json["id"] == spring
        paused = cut_off.simulate_post(f"/campaigns/{spring}/pause")
    engine.dispose()
    assert paused.status_code == 200
    assert "when Redis is back" in paused.headers["x-adctl-notice"]


def test_stores_being_down_is_503(stores_down: falcon.testing.TestClient) -> None:
    answer = stores_down.simulate_get("/campaigns")
    assert answer.status_code == 503
    assert "127.0.0.1" not in answer.text
    ready = stores_down.simulate_get("/health/ready")
    assert ready.status_code == 503
    assert {"postgres", "redis"} == set(ready.json["checks"])


def test_ready_when_stores_answer(client: falcon.testing.TestClient) -> None:
    assert client.simulate_get("/health/ready").status_code == 200
    assert client.simulate_get("/health/live").status_code == 200
    assert "adctl_api_request_seconds" in client.simulate_get("/metrics").text


def test_daemon_serves_and_ends_on_sigterm(
    client: falcon.testing.TestClient, endpoints: Endpoints, state_dir: Path, spring: int
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    env = {
        **os.environ,
        "ADCTL_STATE_DIR": str(state_dir),
        "ADCTL_POSTGRES_URL": endpoints.postgres_url,
        "ADCTL_REDIS_URL": endpoints.redis_url,
        "ADCTL_KAFKA_BOOTSTRAP": endpoints.kafka_bootstrap,
        "ADCTL_API_PORT": str(port),
    }
    with subprocess.Popen([sys.executable, "-m", "daemons.api"], env=env) as daemon:
        api = CatalogApi("127.0.0.1", port)
        deadline = time.monotonic() + 20
        found: dict[int, Campaign] = {}
        while not found and time.monotonic() < deadline:
            with suppress(StoreUnavailableError):
                found = api.all()
            time.sleep(0.05)
        assert set(found) == {spring}
        assert api.one(spring) == found[spring]
        assert api.one(spring + 1) is None
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(10) == 0


OPERATIONS = [
    (path, method) for path, methods in openapi_document()["paths"].items() for method in methods
]


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_api_keeps_to_its_document(
    app: App[Request, Response],
    client: falcon.testing.TestClient,
    spring: int,
    path: str,
    method: str,
    mode: GenerationMode,
) -> None:
    operation = schemathesis.openapi.from_wsgi("/openapi.json", app)[path][method.upper()]

    @hypothesis_settings(
        max_examples=10,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
        database=None,
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def keeps_to_it(case: schemathesis.Case) -> None:
        if mode is GenerationMode.POSITIVE and "{id}" in path:
            case.path_parameters["id"] = spring
        case.call_and_validate(
            checks=[
                not_a_server_error,
                status_code_conformance,
                response_schema_conformance,
                negative_data_rejection,
            ]
        )

    with suppress(Unsatisfiable, SkipTest):  # nothing can be wrong where nothing is asked for
        keeps_to_it()


def test_document_names_every_route(app: App[Request, Response]) -> None:
    routes = {re.sub(r"{ref[^}]*}", "{id}", route) for route in _routes(app)}
    assert set(openapi_document()["paths"]) == routes


def _routes(app: App[Request, Response]) -> set[str]:
    found: set[str] = set()

    def walk(nodes: list[Any]) -> None:
        for node in nodes:
            if node.resource is not None:
                found.add(node.uri_template)
            walk(node.children)

    walk(app._router._roots)
    return found
