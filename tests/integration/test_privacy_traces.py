"""What a request without permission leaves behind, everywhere: nothing of its user.

One bidder and one tracker, as processes, are sent a request per signal; each ad is then seen. After
that Redis, PostgreSQL, Kafka and the logs are read whole, and searched.
"""

from __future__ import annotations

import html
import http.client
import json
import re
import time
import uuid
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import psycopg
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from adctl.control.flushing import Flusher
from adctl.control.relaying import Relay
from adctl.delivery.tokens import hash_user
from adctl.models import (
    BidStrategy,
    Campaign,
    Creative,
    CreativeKind,
    FrequencyCap,
    Status,
)
from adctl.stores.budgets import Budgets
from adctl.stores.catalog import CatalogStore
from adctl.stores.postgres import open_pool
from adctl.stores.redis import connect
from adctl.stores.stream import EventStream
from adctl.streams.admin import KafkaAdmin
from adctl.streams.producer import ReliableProducer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import redis

    from adctl.config import KafkaSettings, Settings
    from adctl.control.daemon_process import DaemonProcess

USER_KEY = bytes(range(32))
CAMPAIGN = Campaign(
    id=1,
    advertiser_id=1,
    name="capped",
    status=Status.ACTIVE,
    bid_strategy=BidStrategy.CPM,
    bid_amount_micros=2_000_000,
    daily_budget_nanos=10**12,
    total_budget_nanos=10**12,
    starts_at=datetime(2025, 1, 1, tzinfo=UTC),
    caps=(FrequencyCap(5, 86_400),),
    unidentified="skip_cap",
    creatives=(
        Creative(
            id=1,
            campaign_id=1,
            name="box",
            kind=CreativeKind.BANNER,
            status=Status.ACTIVE,
            landing_url="https://a.example/",
            adomain=("a.example",),
            width=300,
            height=250,
            image_url="https://a.example/b.png",
        ),
    ),
)
PERMITTED = "permitted"
FORBIDDEN: dict[str, dict[str, Any]] = {
    "coppa": {"regs": {"coppa": 1}},
    "gdpr without consent": {"regs": {"gdpr": 1}},
    "gdpr with an unreadable consent": {"regs": {"gdpr": 1}, "user": {"consent": "CPXxRfA"}},
    "gdpr in its older place": {"regs": {"ext": {"gdpr": 1}}},
    "us opt-out": {"regs": {"us_privacy": "1YYN"}},
    "us_privacy that is garbage": {"regs": {"us_privacy": "banana"}},
    "gpp opt-out": {"regs": {"gpp": "DBABLA~BVVVAAAAAAA.QA", "gpp_sid": [7]}},
    "gpp that is garbage": {"regs": {"gpp": "garbage", "gpp_sid": [7]}},
    "lmt": {"device": {"lmt": 1}},
    "dnt": {"device": {"dnt": 1}},
    "us opt-out in its older place": {"regs": {"ext": {"us_privacy": "1YYN"}}},
    "gpp opt-out in its older place": {
        "regs": {"ext": {"gpp": "DBABLA~BVVVAAAAAAA.QA", "gpp_sid": [7]}}
    },
    "gpp of a section that is not read": {"regs": {"gpp": "DBABjA~BVVV", "gpp_sid": [5]}},
    "gpp that lacks the section": {"regs": {"gpp": "DBABLA~BVVVAAAAAAA.QA", "gpp_sid": [8]}},
    "global privacy control": {"regs": {"ext": {"gpc": "1"}}},
    "global privacy control of the device": {"device": {"ext": {"gpc": 1}}},
    "tracking denied on iOS": {"device": {"ext": {"atts": 2}}},
    "lmt, and nothing but an extended id": {
        "device": {"lmt": 1, "ifa": None},
        "user": {"id": None, "buyeruid": None},
    },
    "coppa, and nothing but an extended id": {
        "regs": {"coppa": 1},
        "device": {"ifa": None},
        "user": {"id": None, "buyeruid": None},
    },
}


class Person(NamedTuple):
    """What identifies whoever sent a request; nothing else in the world has these texts."""

    user_id: str
    buyer_id: str
    device_id: str
    shared_id: str
    segment: str
    ip: str
    lat: str

    @property
    def marks(self) -> list[str]:
        shared = f"shared.example:{self.shared_id}"
        ids = (self.user_id, self.buyer_id, self.device_id, self.shared_id, shared)
        return [*self, *(hash_user(USER_KEY, text) for text in ids)]


def person(number: int) -> Person:
    mark = uuid.uuid4().hex
    return Person(
        f"u-{mark}",
        f"b-{mark}",
        f"d-{mark}",
        f"e-{mark}",
        f"s-{mark}",
        f"203.0.113.{number}",
        f"52.{number}7131",
    )


def request_of(who: Person, changes: dict[str, Any]) -> bytes:
    device = {
        "ifa": who.device_id,
        "ip": who.ip,
        "geo": {"country": "DEU", "lat": float(who.lat), "lon": 13.4},
    }
    user = {
        "id": who.user_id,
        "buyeruid": who.buyer_id,
        "eids": [{"source": "shared.example", "uids": [{"id": who.shared_id}]}],
        "data": [{"segment": [{"id": who.segment}]}],
    }
    request = {
        "id": uuid.uuid4().hex,
        "imp": [{"id": "1", "banner": {"w": 300, "h": 250}}],
        "site": {"domain": "news.example"},
        "regs": changes.get("regs", {}),
        "device": device | changes.get("device", {}),
        "user": user | changes.get("user", {}),
    }
    return json.dumps(request).encode()


def exchange(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    client.request(method, path, body)
    reply = client.getresponse()
    answer = reply.status, reply.read()
    client.close()
    return answer


def bid_and_see(bidder: DaemonProcess, tracker: DaemonProcess, body: bytes) -> None:
    status, answer = exchange(bidder.port, "POST", "/bid-request", body)
    assert status == 200
    markup = json.loads(answer)["seatbid"][0]["bid"][0]["adm"]
    [url] = re.findall(r'src="([^"]*/track/impression[^"]*)"', markup)
    parts = urlsplit(html.unescape(url))
    assert exchange(tracker.port, "GET", f"{parts.path}?{parts.query}")[0] == 200


@pytest.fixture(scope="module")
def people() -> dict[str, Person]:
    return {name: person(number) for number, name in enumerate([PERMITTED, *FORBIDDEN], 10)}


@pytest.fixture(scope="module")
def traces(
    own_redis_url: str,
    settings: Settings,
    start_daemon: Callable[..., DaemonProcess],
    people: dict[str, Person],
) -> dict[str, str]:
    """Everything that is left, by store, after every person's request."""
    kafka = settings.kafka.model_copy(update={"topic_prefix": f"p{uuid.uuid4().hex[:8]}-"})
    environment = {
        "ADCTL_REDIS_URL": own_redis_url,
        "ADCTL_KAFKA_TOPIC_PREFIX": kafka.topic_prefix,
        "ADCTL_SIGNING_KEYS": f"1:{USER_KEY.hex()}",
        "ADCTL_SIGNING_USER_KEY": USER_KEY.hex(),
    }
    KafkaAdmin(kafka.bootstrap, kafka).ensure_topics()
    with connect(own_redis_url, settings.redis) as client:
        CatalogStore(client).fill([CAMPAIGN])
        Budgets(client).sync(CAMPAIGN, date(2026, 1, 1))
        bidder = start_daemon("bidder", **environment)
        tracker = start_daemon("tracker", **environment)
        for name, who in people.items():
            bid_and_see(bidder, tracker, request_of(who, FORBIDDEN.get(name, {})))
        flush_and_relay(client, settings, kafka)
        return {
            "Redis": "\n".join(redis_texts(client)),
            "PostgreSQL": "\n".join(postgres_texts(settings)),
            "Kafka": "\n".join(kafka_texts(kafka, decisions=len(people))),
            "logs": "".join(daemon.log.read_text() for daemon in (bidder, tracker)),
        }


def flush_and_relay(client: redis.Redis, settings: Settings, kafka: KafkaSettings) -> None:
    producer = ReliableProducer(kafka.bootstrap, kafka.topic_prefix)
    stream = EventStream(client)
    with open_pool(settings.postgres.url.get_secret_value(), settings.postgres) as pool:
        # Other modules' streams were other servers'; this one begins anew.
        with pool.connection() as conn:
            conn.execute("DELETE FROM stream_position")
        Flusher(pool, stream).drain(100)
        Relay(pool, stream, producer, KafkaAdmin(kafka.bootstrap, kafka)).drain(100)
    producer.close()


def redis_texts(client: redis.Redis) -> Iterator[str]:
    read: dict[str, Callable[[str], object]] = {
        "string": client.get,
        "hash": client.hgetall,
        "set": client.smembers,
        "stream": client.xrange,
        "zset": lambda key: client.zrange(key, 0, -1),
    }
    for key in client.scan_iter():
        yield f"{key} {read[client.type(key)](key)}"


def postgres_texts(settings: Settings) -> Iterator[str]:
    with psycopg.connect(settings.postgres.url.get_secret_value()) as conn:
        tables = conn.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        ).fetchall()
        for (table,) in tables:
            for (row,) in conn.execute(f"SELECT t::text FROM {table} AS t"):
                yield f"{table} {row}"


def kafka_texts(kafka: KafkaSettings, decisions: int) -> list[str]:
    consumer = Consumer(
        {
            "bootstrap.servers": kafka.bootstrap,
            "group.id": kafka.topic_prefix,
            "enable.auto.commit": False,
        }
    )
    topics = consumer.list_topics(timeout=10).topics
    consumer.assign(
        [
            TopicPartition(name, number, OFFSET_BEGINNING)
            for name, topic in topics.items()
            if name.startswith(kafka.topic_prefix)
            for number in topic.partitions
        ]
    )
    found: list[str] = []
    deadline = time.monotonic() + 15
    # A decision and an impression for every person.
    while len(found) < 2 * decisions and time.monotonic() < deadline:
        found += [
            f"{m.topic()} {m.key()!r} {m.value()!r} {m.headers()}"
            for m in consumer.consume(100, 0.5)
            if m.error() is None
        ]
    consumer.close()
    return found


def test_permitted_user_is_stored_as_a_hash_and_nothing_else(
    traces: dict[str, str], people: dict[str, Person]
) -> None:
    who = people[PERMITTED]
    hashed = hash_user(USER_KEY, who.buyer_id)
    for store in ("Redis", "PostgreSQL"):
        assert hashed in traces[store]
    # It cannot forget a user, and is not told of any.
    assert hashed not in traces["Kafka"]
    everything = "".join(traces.values())
    assert [mark for mark in who if mark in everything] == []


@pytest.mark.parametrize("store", ["Redis", "PostgreSQL", "Kafka", "logs"])
@pytest.mark.parametrize("signal", FORBIDDEN)
def test_nothing_of_the_user_is_left_under(
    traces: dict[str, str], people: dict[str, Person], signal: str, store: str
) -> None:
    assert [mark for mark in people[signal].marks if mark in traces[store]] == []
