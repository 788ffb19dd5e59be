"""``adctl doctor`` against stores and daemons that are well, ill, or not there."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from adctl.cli.root import app
from adctl.config import Settings, load_settings
from adctl.control.checkup import Finding, Outcome, examine
from adctl.streams.admin import KafkaAdmin

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg
    import redis

    from adctl.config import KafkaSettings
    from adctl.stores.endpoints import Endpoints

NOWHERE = {
    "postgres": {"url": "postgresql://u:s3cret@127.0.0.1:1/x"},
    "redis": {"url": "redis://:s3cret@127.0.0.1:1/0"},
    "kafka": {"bootstrap": "127.0.0.1:1"},
}


def look(settings: Settings, **sections: object) -> dict[str, Finding]:
    changed = settings.model_copy(update=sections)
    return {finding.check: finding for finding in examine(lambda: changed)}


@contextmanager
def answering(status: int, body: bytes) -> Iterator[int]:
    """Yield the port of a server that answers every GET alike."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def test_well_stores_are_ok(settings: Settings, kafka: KafkaSettings) -> None:
    KafkaAdmin(kafka.bootstrap, kafka).ensure_topics()
    found = look(settings, kafka=kafka)
    stores = ["configuration", "state folder", "postgresql", "schema", "redis"]
    stores += ["redis eviction", "redis durability", "kafka", "kafka topics"]
    assert {name: found[name].outcome for name in stores} == dict.fromkeys(stores, Outcome.OK)


def test_events_that_wait_because_they_were_refused_are_a_warning(
    settings: Settings, postgres: psycopg.Connection
) -> None:
    assert look(settings)["rejected events"].outcome is Outcome.OK
    query = "INSERT INTO rejected_event (stream, stream_id, reason, raw) VALUES ('s', %s, 'r', %s)"
    for number, raw in enumerate([b'{"cost_nanos":1500000}', b"{}", b"{"]):
        postgres.execute(query, [f"1-{number}", raw])
    postgres.commit()
    found = look(settings)["rejected events"]
    assert found.outcome is Outcome.WARNING
    assert found.detail == "3 wait, 1 of them with 0.0015 to be booked, 1 of unknown cost"
    assert "adctl rejected" in found.hint


def test_missing_topics_are_a_warning(settings: Settings, kafka: KafkaSettings) -> None:
    finding = look(settings, kafka=kafka)["kafka topics"]
    assert finding.outcome is Outcome.WARNING
    assert "impressions" in finding.detail


def test_daemons_that_do_not_run_are_a_warning(settings: Settings) -> None:
    assert look(settings)["pacer"].outcome is Outcome.WARNING


def test_a_daemon_that_is_ready_is_ok(settings: Settings) -> None:
    with answering(200, b'{"status": "ready", "checks": {"redis": "ok"}}') as port:
        found = look(settings, bidder=settings.bidder.model_copy(update={"port": port}))
    assert found["bidder"].outcome is Outcome.OK


def test_what_a_ready_daemon_warns_of_is_a_warning(settings: Settings) -> None:
    body = b'{"status": "ready", "checks": {"events": "ok"}, "warnings": {"journal": "it is full"}}'
    with answering(200, body) as port:
        found = look(settings, tracker=settings.tracker.model_copy(update={"port": port}))
    assert found["tracker"].outcome is Outcome.WARNING
    assert found["tracker"].detail.endswith("but journal: it is full")


def test_a_daemon_that_is_not_ready_fails_with_its_reason(settings: Settings) -> None:
    body = b'{"status": "not ready", "checks": {"redis": "gone away", "catalog": "ok"}}'
    with answering(503, body) as port:
        found = look(settings, bidder=settings.bidder.model_copy(update={"port": port}))
    assert found["bidder"].outcome is Outcome.FAIL
    assert found["bidder"].detail.endswith("redis: gone away")


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'"x"', b'{"checks": 5}', b"\xff"])
def test_another_program_on_a_daemons_port_is_a_warning(settings: Settings, body: bytes) -> None:
    with answering(404, body) as port:
        found = look(settings, bidder=settings.bidder.model_copy(update={"port": port}))
    assert found["bidder"].outcome is Outcome.WARNING
    assert "no bidder" in found["bidder"].detail


def test_every_store_that_is_down_is_named(settings: Settings) -> None:
    found = {f.check: f for f in examine(lambda: load_settings(overrides=NOWHERE))}
    for store in ("postgresql", "redis", "kafka"):
        assert found[store].outcome is Outcome.FAIL
        assert found[store].hint


def test_no_finding_shows_a_password() -> None:
    findings = examine(lambda: load_settings(overrides=NOWHERE))
    assert "s3cret" not in "".join(finding.detail + finding.hint for finding in findings)


def test_an_unmigrated_schema_fails_and_says_how_to_mend_it(
    settings: Settings, endpoints: Endpoints
) -> None:
    empty = endpoints.postgres_url.removesuffix("/adctl") + "/postgres"
    postgres = load_settings(overrides={"postgres": {"url": empty}}).postgres
    finding = look(settings, postgres=postgres)["schema"]
    assert (finding.outcome, finding.hint) == (Outcome.FAIL, "adctl db migrate")


@pytest.mark.parametrize(
    ("key", "value", "check"),
    [("maxmemory-policy", "allkeys-lru", "eviction"), ("appendonly", "no", "durability")],
)
def test_a_redis_that_can_lose_money_fails(
    settings: Settings, redis_client: redis.Redis, key: str, value: str, check: str
) -> None:
    good = redis_client.config_get(key)[key]
    redis_client.config_set(key, value)
    try:
        assert look(settings)[f"redis {check}"].outcome is Outcome.FAIL
    finally:
        redis_client.config_set(key, good)


def test_looking_changes_nothing(settings: Settings, postgres: psycopg.Connection) -> None:
    def tables() -> list[tuple[str]]:
        rows = postgres.execute("SELECT tablename FROM pg_tables ORDER BY 1").fetchall()
        postgres.commit()
        return rows

    before = tables()
    look(settings)
    assert tables() == before


def test_doctor_exits_with_8_and_lists_every_check_when_one_fails(
    monkeypatch: pytest.MonkeyPatch, endpoints: Endpoints
) -> None:
    monkeypatch.setenv("ADCTL_POSTGRES_URL", endpoints.postgres_url)
    monkeypatch.setenv("ADCTL_REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("ADCTL_KAFKA_BOOTSTRAP", endpoints.kafka_bootstrap)
    result = CliRunner().invoke(app, ["doctor", "--output", "json"])
    assert result.exit_code == 8
    assert "failed: redis" in result.stderr
    outcomes = {finding["check"]: finding["outcome"] for finding in json.loads(result.stdout)}
    assert (outcomes["redis"], outcomes["postgresql"], outcomes["kafka"]) == ("FAIL", "ok", "ok")


def test_faults_of_the_configuration_are_findings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADCTL_BIDDER_PORT", "http")
    monkeypatch.setenv("ADCTL_CURRENCY", "usd")
    found = examine(load_settings)
    failed = [finding.detail for finding in found if finding.outcome is Outcome.FAIL]
    assert len(failed) == 2
    assert {finding.outcome for finding in found if finding.check != "configuration"} == {
        Outcome.SKIPPED
    }
