"""Whom the api answers: its own names and pages, by every method of every path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import falcon
import falcon.inspect
import falcon.testing
import pytest
from prometheus_client import CollectorRegistry

from adctl.config_daemon import ApiSettings
from adctl.control.plane import open_plane
from daemons.api.app import create_app

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg
    import redis

    from adctl.config import Settings

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
CAMPAIGN = {"advertiser": "Acme", "name": "Spring", "budget": "500", "bid": "2.00"}
EVIL = "http://evil.example"


@pytest.fixture
def app(
    settings: Settings, postgres: psycopg.Connection, redis_client: redis.Redis
) -> Iterator[Any]:
    section = ApiSettings(host="10.1.2.3", hosts=("api.acme.example", "fd00::7"))
    with open_plane(settings) as plane:
        yield create_app(plane, CollectorRegistry(), section)


@pytest.fixture
def curl(app: Any) -> falcon.testing.TestClient:
    client = falcon.testing.TestClient(app, headers={"Host": "localhost:8082"})
    client.simulate_post("/advertisers", json={"name": "Acme"})
    client.simulate_post("/campaigns", json=CAMPAIGN)
    return client


def routes(app: Any) -> list[str]:
    found = [route.path for route in falcon.inspect.inspect_routes(app)]
    assert len(found) > 20
    return [path.replace("{ref:int(min=1, max=2147483647)}", "1") for path in found]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": EVIL},
        {"Origin": "null"},
        {"Origin": "http://localhost:3000"},
        {"Host": "evil.example:8082"},
        {"Host": "evil.example:8082", "Origin": "http://evil.example:8082"},
    ],
    ids=str,
)
def test_no_method_of_any_path_answers_a_foreign_page(
    app: Any, curl: falcon.testing.TestClient, method: str, headers: dict[str, str]
) -> None:
    before = [curl.simulate_get(f"/campaigns/1{part}").text for part in ("", "/history")]
    for path in [*routes(app), "/nothing-here"]:
        answer = curl.simulate_request(method, path, headers=headers)
        assert answer.status_code == 403, path
        assert method == "HEAD" or "api.hosts" in answer.json["title"], path
    assert [curl.simulate_get(f"/campaigns/1{part}").text for part in ("", "/history")] == before


def test_every_method_of_every_path_answers_who_is_no_page(
    app: Any, curl: falcon.testing.TestClient
) -> None:
    for path in routes(app):
        for method in METHODS:
            assert curl.simulate_request(method, path).status_code != 403, (method, path)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST.:8082",
        "127.0.0.1:1",
        "127.9.9.9",
        "[::1]:8082",
        "10.1.2.3:8082",
        "api.acme.example",
        "API.acme.example:443",
        "[fd00::7]:8082",
        "[fd00:0:0::7]",
    ],
)
def test_its_own_names_are_answered(curl: falcon.testing.TestClient, host: str) -> None:
    assert curl.simulate_post("/campaigns/1/pause", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil.example#localhost",
        "evil.example/localhost",
        "localhost@evil.example",
        "evil.example@localhost",
        "localhost, evil.example",
        "localhost:8082:1",
        "localhost:x",
        "[::1",
        "2130706433",
        "10.1.2.4",
        "acme.example",
        "x.api.acme.example",
        "0.0.0.0:8082",
    ],
)
def test_another_name_is_refused(curl: falcon.testing.TestClient, host: str) -> None:
    answer = curl.simulate_delete("/campaigns/1", headers={"Host": host})
    assert answer.status_code == 403
    assert "Host" in answer.json["title"]


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://localhost:8082", True),
        ("http://127.0.0.1:8082", True),
        ("https://api.acme.example", True),
        ("http://localhost:8083", False),
        ("http://localhost", False),
        ("https://acme.example", False),
        ("https://api.acme.example.evil.example", False),
        ("https://api.acme.example@evil.example", False),
        ("https://evil.example/api.acme.example", False),
        ("file://", False),
        ("chrome-extension://api.acme.example", False),
        ("", False),
    ],
)
def test_only_pages_of_its_own_may_call_it(
    curl: falcon.testing.TestClient, origin: str, allowed: bool
) -> None:
    answer = curl.simulate_post("/campaigns/1/pause", headers={"Origin": origin})
    assert (answer.status_code == 200) is allowed


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_a_foreign_page_embeds_is_refused_and_a_link_is_not(
    curl: falcon.testing.TestClient, site: str
) -> None:
    embedded = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}
    followed = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"}
    assert curl.simulate_get("/catalog", headers=embedded).status_code == 403
    assert curl.simulate_get("/campaigns", headers=followed).status_code == 200
