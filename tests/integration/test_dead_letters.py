"""What consumers can make nothing of is put aside, and put back once it makes sense."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
import pytest
from typer.testing import CliRunner

from adctl.cli.root import app
from adctl.control.analytics import ANALYTICS, Analytics
from adctl.control.dead_letters import Burial, Graveyard, Undertaker, put_back
from adctl.control.flushing import Flusher
from adctl.control.poison import Poison
from adctl.control.rebuilding import RollupRebuilder
from adctl.decisions import Decision
from adctl.errors import ConflictError, StoreUnavailableError
from adctl.models import DeadLetterReason
from adctl.streams import topics
from adctl.streams.admin import KafkaAdmin
from adctl.streams.consumer import IncomingMessage
from adctl.streams.producer import OutgoingMessage, ReliableProducer
from adctl.streams.reader import TopicReader
from adctl.streams.schemas import version_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import psycopg
    from psycopg_pool import ConnectionPool

    from adctl.config import KafkaSettings, Settings
    from adctl.models import Event
    from adctl.stores.stream import EventStream

    Pool = ConnectionPool[psycopg.Connection]

NOW = datetime(2026, 11, 1, 10, tzinfo=UTC)
MAX_BYTES = 300


class Bench:
    """A consumer's parts, worked by hand: Kafka's messages are read and applied when asked."""

    def __init__(self, kafka: KafkaSettings, pool: Pool) -> None:
        self.kafka, self.pool = kafka, pool
        admin = KafkaAdmin(kafka.bootstrap, kafka)
        admin.ensure_topics()
        self.cluster_id = admin.cluster_id()
        self.producer = ReliableProducer(kafka.bootstrap, kafka.topic_prefix)
        undertaker = Undertaker(self.producer, ANALYTICS.name, MAX_BYTES, lambda: NOW)
        self.analytics = Analytics(pool, undertaker.bury)

    def send(self, *messages: OutgoingMessage) -> None:
        self.producer.send(messages)

    def read(self, *names: str) -> list[IncomingMessage]:
        with TopicReader(self.kafka.bootstrap, names, self.kafka.topic_prefix) as reader:
            return [message for batch in reader.batches() for message in batch]

    def apply_all(self) -> int:
        """Apply all there is, what was applied before too; return how many counted."""
        batch = self.read(topics.BIDS, topics.IMPRESSIONS)
        return self.analytics.apply(self.cluster_id, batch).applied

    def graveyard(self) -> Graveyard:
        return Graveyard(self.pool, self.cluster_id, [self.read(topics.DEAD_LETTERS)])

    def burials(self) -> list[Burial]:
        return self.graveyard().burials()


@pytest.fixture
def bench(kafka: KafkaSettings, pool: Pool) -> Iterator[Bench]:
    bench = Bench(kafka, pool)
    yield bench
    bench.producer.close()


def decision(**changes: object) -> bytes:
    made = Decision("r", "default", int(NOW.timestamp() * 1000), bid=False, reason="no_candidates")
    return msgspec.json.encode(msgspec.structs.replace(made, **changes))


def bid(value: bytes, schema_version: str = "") -> OutgoingMessage:
    return OutgoingMessage(topics.BIDS, b"key", value, schema_version=schema_version)


def requests(postgres: psycopg.Connection) -> int:
    (total,) = postgres.execute("SELECT coalesce(sum(requests), 0) FROM rollup_requests").fetchone()
    postgres.commit()
    return int(total)


def impressions(postgres: psycopg.Connection) -> int:
    (total,) = postgres.execute(
        "SELECT coalesce(sum(impressions), 0) FROM rollup_delivery"
    ).fetchone()
    postgres.commit()
    return int(total)


def test_a_dead_letter_says_what_it_was_where_and_why(bench: Bench) -> None:
    bench.send(bid(b"\xffnot json", "7"))
    assert bench.apply_all() == 0
    (burial,) = bench.burials()
    assert (burial.letter.key, burial.letter.value) == (b"key", b"\xffnot json")
    assert (burial.letter.reason, burial.letter.topic, burial.letter.offset) == (
        "not_json",
        "bids",
        0,
    )
    assert (burial.letter.schema_version, burial.letter.buried_at) == ("7", NOW)


def test_a_letter_told_of_twice_is_listed_once(bench: Bench) -> None:
    bench.send(bid(b"{"))
    (message,) = bench.read(topics.BIDS)
    for _ in range(2):
        bench.analytics.apply("elsewhere", [message])
        bench.analytics.apply(bench.cluster_id, [message._replace(offset=5)])
    assert [burial.letter.offset for burial in bench.burials()] == [5]


def test_nothing_moves_on_until_kafka_has_confirmed_a_dead_letter(
    pool: Pool, postgres: psycopg.Connection
) -> None:
    def fail(_cluster_id: str, _poison: Sequence[Poison]) -> None:
        raise StoreUnavailableError("Kafka: could not send messages")

    analytics = Analytics(pool, fail)
    messages = [
        IncomingMessage("bids", 0, 0, decision(), ""),
        IncomingMessage("bids", 0, 1, b"{", ""),
    ]
    with pytest.raises(StoreUnavailableError):
        analytics.apply("cluster", messages)
    assert analytics.next_offsets("cluster") == {}
    assert requests(postgres) == 0


def test_a_newer_schema_is_read_as_far_as_it_is_known(
    bench: Bench, postgres: psycopg.Connection
) -> None:
    newer = decision()[:-1] + b',"invented_later":{"a":1}}'
    bench.send(bid(newer, "99"))
    assert bench.apply_all() == 1
    assert requests(postgres) == 1
    assert bench.burials() == []


@pytest.mark.parametrize(("version", "reason"), [("99", "newer_schema"), ("1", "wrong_shape")])
def test_what_cannot_be_read_of_a_schema_is_buried(bench: Bench, version: str, reason: str) -> None:
    bench.send(bid(b'{"request_id":1}', version))
    bench.apply_all()
    assert [burial.letter.reason for burial in bench.burials()] == [reason]


def test_a_version_that_is_no_number_is_buried(bench: Bench) -> None:
    bench.send(bid(decision(), "new"))
    bench.apply_all()
    assert [burial.letter.reason for burial in bench.burials()] == ["bad_header"]


def test_every_message_sent_says_its_version(bench: Bench) -> None:
    bench.send(bid(decision()))
    (message,) = bench.read(topics.BIDS)
    assert message.schema_version == str(version_of(topics.BIDS))


def test_a_long_message_is_cut_and_not_put_back(bench: Bench) -> None:
    bench.send(bid(b"x" * (MAX_BYTES + 1)))
    bench.apply_all()
    (burial,) = bench.burials()
    assert (len(burial.letter.value), burial.letter.cut) == (MAX_BYTES, True)
    assert bench.graveyard().choose([]) == []
    with pytest.raises(ConflictError, match="only a part"):
        bench.graveyard().choose([burial.origin])


def bury_as_if_mended(bench: Bench, place: OutgoingMessage, offset: int) -> None:
    """Bury a message that makes sense now, as a consumer did that knew less."""
    message = IncomingMessage(*(place.topic, 0, offset, place.value, place.stream_id, place.key))
    undertaker = Undertaker(bench.producer, ANALYTICS.name, MAX_BYTES * 10, lambda: NOW)
    undertaker.bury(bench.cluster_id, [Poison(message, DeadLetterReason.WRONG_SHAPE, "")])


def test_a_message_put_back_twice_counts_once(bench: Bench, postgres: psycopg.Connection) -> None:
    bury_as_if_mended(bench, bid(decision()), offset=100)
    for _ in range(2):
        put_back(bench.producer, bench.burials())
    assert bench.apply_all() == 1
    put_back(bench.producer, bench.burials())
    assert bench.apply_all() == 0
    assert requests(postgres) == 1
    assert [burial.counted for burial in bench.burials()] == [True]
    assert bench.graveyard().choose([]) == []


def test_a_message_put_back_for_another_group_does_not_count(
    bench: Bench, postgres: psycopg.Connection
) -> None:
    bench.send(bid(decision()))
    bench.apply_all()
    undertaker = Undertaker(bench.producer, "billing", MAX_BYTES, lambda: NOW)
    (message,) = bench.read(topics.BIDS)
    undertaker.bury(bench.cluster_id, [Poison(message, DeadLetterReason.WRONG_SHAPE, "")])
    put_back(bench.producer, bench.burials())
    assert bench.apply_all() == 0
    assert requests(postgres) == 1
    assert [burial.counted for burial in bench.burials()] == [False]


def test_a_letter_of_two_groups_is_two_letters(bench: Bench) -> None:
    bench.send(bid(b"{"))
    bench.apply_all()
    undertaker = Undertaker(bench.producer, "billing", MAX_BYTES, lambda: NOW)
    (message,) = bench.read(topics.BIDS)
    undertaker.bury(bench.cluster_id, [Poison(message, DeadLetterReason.NOT_JSON, "")])
    graveyard = bench.graveyard()
    named = graveyard.burials()[0].origin
    with pytest.raises(ConflictError, match="analytics and billing"):
        graveyard.find(named)
    assert graveyard.find(named, "billing").letter.consumer_group == "billing"
    assert len(graveyard.choose([])) == 2
    assert len(graveyard.choose([named], "analytics")) == 1


def test_a_message_put_back_in_vain_keeps_its_origin(bench: Bench) -> None:
    bench.send(bid(b"{"))
    bench.apply_all()
    put_back(bench.producer, bench.burials())
    bench.apply_all()
    (burial,) = bench.burials()
    assert (burial.letter.offset, burial.counted) == (0, False)


def event_of(make_event: Callable[..., Event], stream_id: str) -> OutgoingMessage:
    value = msgspec.json.encode(make_event("late"))
    return OutgoingMessage(topics.IMPRESSIONS, b"bid", value, stream_id)


def test_an_event_put_back_counts_though_its_stream_has_gone_on(
    bench: Bench, make_event: Callable[..., Event], postgres: psycopg.Connection
) -> None:
    bench.send(event_of(make_event, "9-0"))
    bury_as_if_mended(bench, event_of(make_event, "2-0"), offset=100)
    bench.apply_all()
    put_back(bench.producer, bench.burials())
    bench.apply_all()
    assert impressions(postgres) == 2


def test_an_event_that_a_rebuild_has_counted_does_not_count_when_put_back(
    bench: Bench,
    make_event: Callable[..., Event],
    append: Callable[..., None],
    stream: EventStream,
    postgres: psycopg.Connection,
) -> None:
    append(make_event("late"))
    (entry,) = stream.read("0-0", 10)
    Flusher(bench.pool, stream).drain(100)
    bench.apply_all()
    rebuilder = RollupRebuilder(bench.pool, stream.key)
    rebuilder.begin_cluster(bench.cluster_id, [(topics.IMPRESSIONS, 0)])
    bury_as_if_mended(bench, event_of(make_event, entry.id), offset=100)
    put_back(bench.producer, bench.burials())
    bench.apply_all()
    assert impressions(postgres) == 1


@pytest.fixture
def run(
    settings: Settings, kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    monkeypatch.setenv("ADCTL_POSTGRES_URL", settings.postgres.url.get_secret_value())
    monkeypatch.setenv("ADCTL_KAFKA_BOOTSTRAP", kafka.bootstrap)
    monkeypatch.setenv("ADCTL_KAFKA_TOPIC_PREFIX", kafka.topic_prefix)

    def invoke(line: str, code: int = 0) -> str:
        result = CliRunner().invoke(app, line.split())
        assert result.exit_code == code, result.output
        return result.stdout

    return invoke


def test_an_operator_lists_shows_and_retries(bench: Bench, run: Callable[..., str]) -> None:
    bench.send(bid(b"{broken"))
    bench.apply_all()
    (row,) = msgspec.json.decode(run("deadletter list --output json"))
    assert (row["reason"], row["state"]) == ("not_json", "dead")
    shown = msgspec.json.decode(run(f"deadletter show {row['origin']} --output json"))
    assert shown["value"] == "{broken"
    run(f"deadletter retry {row['origin']} --dry-run")
    run("deadletter retry", 6)  # nobody confirms
    assert len(bench.read(topics.BIDS)) == 1
    run(f"deadletter retry {row['origin']} --yes")
    assert len(bench.read(topics.BIDS)) == 2
    run("deadletter show bids/0/999", 5)
