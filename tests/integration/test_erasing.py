"""A user who is forgotten is found in no store afterwards; money and counts stay."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
import pytest
from typer.testing import CliRunner

from adctl.cli.root import app
from adctl.control.flushing import Flusher
from adctl.delivery.macros import ToldMacros
from adctl.delivery.place import Place
from adctl.delivery.tokens import BidToken, hash_user
from adctl.delivery.tracking import track
from adctl.models import EventKind
from adctl.stores import keys
from adctl.stores.event_intake import EventIntake, Windows
from adctl.stores.journal import Journal
from adctl.stores.secrets import load_signing
from adctl.stores.spool import Spool
from adctl.stores.stream import EventStream
from adctl.streams import topics
from adctl.streams.reader import TopicReader

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import psycopg
    import redis
    from psycopg_pool import ConnectionPool

    from adctl.config import KafkaSettings, Settings
    from adctl.delivery.tracking import TrackedEvent
    from adctl.stores.redis import Script

READER = "reader-7@device"
IFA = "6d92078a-8246-4ba4-ae5b-76104861e7dc"


class Scripts:
    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def run(self, script: Script, keys: Sequence[str], args: Sequence[str | int | bytes]) -> object:
        return script.run(self._client, keys, args)


class House:
    """A user's traces in every store, and whoever looks for them."""

    def __init__(
        self,
        settings: Settings,
        client: redis.Redis,
        postgres: psycopg.Connection,
        kafka: KafkaSettings,
        folder: Path,
    ) -> None:
        self.settings, self.redis, self.postgres = settings, client, postgres
        self.kafka, self.spools, self.journals = kafka, folder / "spool", folder / "journal"
        self.user_hash = hash_user(load_signing(settings).user_key, READER)
        self.intake = EventIntake(Scripts(client), 120, 86_400, Windows(3600, 3600))  # type: ignore[arg-type]
        self.bids = 0

    def event(self, kind: EventKind, user_hash: str | None = None) -> TrackedEvent:
        self.bids += 1
        seconds, _ = self.redis.time()
        token = BidToken(
            bid_id=f"{self.bids:024x}",
            campaign_id=1,
            creative_id=2,
            exchange="default",
            price_cpm_micros=2_000_000,
            bid_at_ms=seconds * 1000,
            bucket=seconds // 60,
            user_hash=self.user_hash if user_hash is None else user_hash,
            cap_windows=(3600,),
            advertiser_id=1,
            place=Place("news.example", "USA", "4"),
        )
        return track(token, kind, EventKind.IMPRESSION, ToldMacros("1.5"), seconds * 1000)

    def found(self) -> list[str]:
        """Every place that still holds the user, by raw id or by hash."""
        wanted = (READER.encode(), self.user_hash.encode())
        places = self._in_postgres() | self._in_redis() | self._in_kafka() | self._in_files()
        return sorted(name for name, held in places.items() if any(of in held for of in wanted))

    def _in_postgres(self) -> dict[str, bytes]:
        tables = self.postgres.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        ).fetchall()
        places = {}
        for (table,) in tables:
            rows = self.postgres.execute(f'SELECT t::text FROM "{table}" AS t').fetchall()
            places[f"table {table}"] = "\n".join(row for (row,) in rows).encode()
            raw = self.postgres.execute("SELECT raw FROM rejected_event").fetchall()
            places["raw rejected_event"] = b"".join(bytes(of) for (of,) in raw)
        self.postgres.commit()
        return places

    def _in_redis(self) -> dict[str, bytes]:
        places = {}
        for key in self.redis.scan_iter():
            held = key.encode()
            if self.redis.type(key) == "stream":
                held += str(self.redis.xrange(key)).encode()
            elif self.redis.type(key) == "hash":
                held += str(self.redis.hgetall(key)).encode()
            places[f"key {key}"] = held
        return places

    def _in_kafka(self) -> dict[str, bytes]:
        places = {}
        for topic in topics.ALL:
            with TopicReader(self.kafka.bootstrap, [topic], self.kafka.topic_prefix) as reader:
                messages = [message for batch in reader.batches() for message in batch]
            places[f"topic {topic}"] = b"".join(of.key + of.value for of in messages)
        return places

    def _in_files(self) -> dict[str, bytes]:
        files = [*self.spools.glob("tracker-*.v*"), *self.journals.glob("tracker-*.v*")]
        return {f"file {path.parent.name}/{path.name}": path.read_bytes() for path in files}


@pytest.fixture
def house(
    settings: Settings,
    redis_client: redis.Redis,
    postgres: psycopg.Connection,
    kafka: KafkaSettings,
    tmp_path: Path,
) -> House:
    return House(settings, redis_client, postgres, kafka, tmp_path)


@pytest.fixture
def forget(
    settings: Settings, kafka: KafkaSettings, tmp_path: Path, house: House
) -> Callable[..., dict[str, object]]:
    signing = load_signing(settings)
    environment = {
        "ADCTL_STATE_DIR": str(tmp_path),
        "ADCTL_POSTGRES_URL": settings.postgres.url.get_secret_value(),
        "ADCTL_REDIS_URL": settings.redis.url.get_secret_value(),
        "ADCTL_KAFKA_BOOTSTRAP": kafka.bootstrap,
        "ADCTL_KAFKA_TOPIC_PREFIX": kafka.topic_prefix,
        "ADCTL_SIGNING_USER_KEY": signing.user_key.hex(),
    }

    def run(*options: str, user: str = READER) -> dict[str, object]:
        words = ["user", "forget", user, "--output", "json", *options]
        result = CliRunner().invoke(app, words, env=environment)
        assert result.exit_code == 0, result.output
        house.postgres.commit()
        told: dict[str, object] = json.loads(result.stdout)
        return told

    return run


def test_forgotten_user_is_found_in_no_store(
    house: House, forget: Callable[..., dict[str, object]], pool: ConnectionPool[psycopg.Connection]
) -> None:
    house.intake.take(house.event(EventKind.IMPRESSION))
    house.intake.take(house.event(EventKind.CLICK))
    flusher = Flusher(pool, EventStream(house.redis))
    flusher.drain(100)
    broken = msgspec.json.encode(house.event(EventKind.CLICK).event).replace(b'"2', b'"x', 1)
    house.redis.xadd(keys.events(0), {"e": broken[:-1]})
    flusher.drain(100)
    house.intake.take(house.event(EventKind.WIN))
    spool = Spool(house.spools, "tracker-0", 1 << 20)
    spool.append([house.event(EventKind.CLICK), house.event(EventKind.CLICK, "cd" * 16)])
    spool.close()
    journal = Journal(house.journals, "tracker-0", 1 << 20)
    journal.append([house.event(EventKind.CLICK), house.event(EventKind.CLICK, "cd" * 16)])
    journal.close()
    before = house.found()
    assert {name.split()[0] for name in before} == {"table", "raw", "key", "file"}

    looked = forget("--dry-run")
    assert house.found() == before
    receipt = forget("--yes")
    assert house.found() == []
    assert looked["number"] is None
    assert receipt["number"] == 1
    assert (receipt["events"], receipt["rejected_events"], receipt["spooled"]) == (2, 1, 1)
    assert receipt["redis_keys"] == looked["redis_keys"] == 2
    assert receipt["waiting"] == 0
    [(kept,)] = house.postgres.execute("SELECT receipt FROM erasure").fetchall()
    assert kept == receipt
    # What they did stays, and what it cost.
    query = "SELECT count(*), sum(cost_nanos), count(*) FILTER (WHERE user_hash <> '') FROM event"
    assert house.postgres.execute(query).fetchall() == [(3, 1_500_000, 0)]


@pytest.mark.parametrize("typed", [IFA, IFA.upper(), f"{{{IFA}}}"])
def test_user_with_a_uuid_is_forgotten_as_it_was_written_before_it_had_one_form(
    house: House,
    forget: Callable[..., dict[str, object]],
    pool: ConnectionPool[psycopg.Connection],
    settings: Settings,
    typed: str,
) -> None:
    spellings = (IFA, IFA.upper(), IFA.replace("-", ""))
    hashes = [hash_user(load_signing(settings).user_key, one) for one in spellings]
    for user_hash in hashes:
        house.intake.take(house.event(EventKind.IMPRESSION, user_hash))
    Flusher(pool, EventStream(house.redis)).drain(100)
    late = [house.event(EventKind.IMPRESSION, user_hash) for user_hash in hashes]
    spool = Spool(house.spools, "tracker-0", 1 << 20)
    spool.append([house.event(EventKind.CLICK, user_hash) for user_hash in hashes])
    spool.close()
    looked = forget("--dry-run", user=typed)
    receipt = forget("--yes", user=typed)
    assert looked["events"] == receipt["events"] == receipt["spooled"] == 3
    assert not any(house.redis.keys("*:user:*"))
    for event in late:
        house.intake.take(event)
    Flusher(pool, EventStream(house.redis)).drain(100)
    assert house.postgres.execute("SELECT DISTINCT user_hash FROM event").fetchall() == [("",)]
    house.postgres.commit()


def test_event_of_a_bid_before_comes_later_without_the_user(
    house: House, forget: Callable[..., dict[str, object]], pool: ConnectionPool[psycopg.Connection]
) -> None:
    late = house.event(EventKind.IMPRESSION)
    forget("--yes")
    house.intake.take(late)
    others = house.event(EventKind.IMPRESSION, "cd" * 16)
    house.intake.take(others)
    Flusher(pool, EventStream(house.redis)).drain(100)
    query = "SELECT user_hash FROM event ORDER BY user_hash"
    assert house.postgres.execute(query).fetchall() == [("",), ("cd" * 16,)]
    house.postgres.commit()


def test_other_users_in_a_spool_stay(
    house: House, forget: Callable[..., dict[str, object]]
) -> None:
    spool = Spool(house.spools, "tracker-0", 1 << 20)
    mine, others = house.event(EventKind.CLICK), house.event(EventKind.CLICK, "cd" * 16)
    spool.append([mine, others, mine])
    spool.close()
    forget("--yes")
    spool = Spool(house.spools, "tracker-0", 1 << 20)
    kept = spool.peek(10)
    spool.close()
    assert [tracked.event.user_hash for tracked in kept] == ["", "cd" * 16, ""]
    assert [tracked.event.bid_id for tracked in kept] == [
        tracked.event.bid_id for tracked in (mine, others, mine)
    ]
