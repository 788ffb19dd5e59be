"""Long lists of domains and apps, from files to bidders and Kafka."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import msgspec
import pytest
from confluent_kafka import Consumer, TopicPartition
from typer.testing import CliRunner, Result

from adctl.cli.root import app
from adctl.control.publishing import relay_outbox
from adctl.models import CampaignChange
from adctl.stores.budgets import Budgets
from adctl.stores.catalog import CatalogStore
from adctl.streams import topics
from adctl.streams.admin import KafkaAdmin
from adctl.streams.producer import ReliableProducer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import psycopg
    import redis
    from psycopg_pool import ConnectionPool

    from adctl.config import KafkaSettings, Settings
    from adctl.stores.endpoints import Endpoints

MANY = 100_000
CREATE = ("campaign", "create", "--advertiser", "Acme", "--name", "Spring", "--budget", "5")


@pytest.fixture
def adctl(
    settings: Settings,
    endpoints: Endpoints,
    postgres: psycopg.Connection,
    redis_client: redis.Redis,
) -> Callable[..., Result]:
    env = {
        "ADCTL_STATE_DIR": str(settings.state_dir),
        "ADCTL_POSTGRES_URL": endpoints.postgres_url,
        "ADCTL_REDIS_URL": endpoints.redis_url,
        "ADCTL_KAFKA_BOOTSTRAP": endpoints.kafka_bootstrap,
        "ADCTL_ACTOR": "ann",
    }

    def run(*words: str) -> Result:
        return CliRunner().invoke(app, words, env=env, prog_name="adctl")

    assert run("advertiser", "create", "--name", "Acme").exit_code == 0
    return run


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """A table as a spreadsheet saves it, in which every hundredth site stands twice."""
    rows = [f"https://www.site-{number}.example/;{number}" for number in range(MANY)]
    rows += [f"SITE-{number}.example;" for number in range(0, MANY, 100)]
    path = tmp_path / "blocked.csv"
    path.write_bytes("\r\n".join(["Domain;Rank", *rows, ""]).encode("utf-8-sig"))
    return path


def test_a_file_of_100_000_sites_is_a_campaign_s_list_in_seconds(
    adctl: Callable[..., Result], listed: Path, tmp_path: Path
) -> None:
    began = time.thread_time()
    made = adctl(*CREATE, "--bid", "2", "--exclude-domain-file", str(listed))
    took = time.thread_time() - began
    assert made.exit_code == 0, made.output
    assert took < 10
    left_out = "domains_exclude: 1,000 of 101,000 items left out, as others name the same"
    assert left_out in " ".join(made.stderr.split())
    more = tmp_path / "more.txt"
    more.write_bytes("müller.de\r\n".encode("utf-16"))
    changed = adctl(
        *("campaign", "update", "Spring", "--app-file", str(more.with_name("apps.txt"))),
        *("--domain", "a.com", "--domain-file", str(more)),
    )
    assert changed.exit_code == 3
    assert "apps.txt" in changed.stderr
    changed = adctl("campaign", "update", "Spring", "--domain", "a.com", "--domain-file", str(more))
    assert changed.exit_code == 0, changed.output
    targeting = json.loads(adctl("campaign", "show", "Spring", "--output", "json").stdout)[
        "targeting"
    ]
    assert targeting["domains_include"] == ["a.com", "xn--mller-kva.de"]
    assert len(targeting["domains_exclude"]) == MANY
    assert targeting["domains_exclude"][7] == "site-7.example"


def test_what_is_wrong_in_all_files_is_told_at_once_and_briefly(
    adctl: Callable[..., Result], tmp_path: Path
) -> None:
    sites, apps = tmp_path / "sites.txt", tmp_path / "apps.csv"
    sites.write_text("a.com\n" + "no site\n" * 1000)
    apps.write_text("Bundle\ncom.a\nhttps://example.com/\n")
    refused = adctl(
        *(*CREATE, "--bid", "2", "--domain-file", str(sites), "--exclude-app-file", str(apps))
    )
    assert refused.exit_code == 3
    told = " ".join(refused.stderr.split())
    assert "sites.txt, line 2: no site" in told
    assert "980 more lines" in told
    assert "apps.csv, line 3: https://example.com/" in told
    assert len(refused.stderr) < 10_000


def test_a_campaign_with_long_lists_reaches_bidders_and_kafka(
    adctl: Callable[..., Result],
    listed: Path,
    pool: ConnectionPool[psycopg.Connection],
    redis_client: redis.Redis,
    kafka: KafkaSettings,
) -> None:
    made = adctl(*CREATE, "--bid", "2", "--exclude-domain-file", str(listed))
    number, catalog = int(made.stdout), CatalogStore(redis_client)
    KafkaAdmin(kafka.bootstrap, kafka).ensure_topics()
    producer = ReliableProducer(kafka.bootstrap, kafka.topic_prefix)
    assert relay_outbox(pool, catalog, Budgets(redis_client), producer.send) == 1
    producer.close()
    [told] = catalog.read([number]).values()
    assert len(told.targeting.domains_exclude) == MANY
    assert read_change(kafka).campaign == told


def read_change(kafka: KafkaSettings) -> CampaignChange:
    consumer = Consumer(
        {"bootstrap.servers": kafka.bootstrap, "group.id": "test", "enable.auto.commit": False}
    )
    name = kafka.topic_prefix + topics.CAMPAIGNS
    consumer.assign([TopicPartition(name, p, 0) for p in range(kafka.partitions)])
    try:
        [message] = consumer.consume(1, 20)
        return msgspec.json.decode(message.value(), type=CampaignChange)
    finally:
        consumer.close()
