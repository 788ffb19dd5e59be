"""What operators see of a consumer group, and how it counts again without counting twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest

from adctl.control.analytics import ANALYTICS, Analytics
from adctl.control.consumer_status import GroupStatus, PartitionStatus
from adctl.control.rebuilding import RollupRebuilder
from adctl.control.rewinding import AnalyticsRewind
from adctl.decisions import Decision
from adctl.errors import ConflictError
from adctl.streams import topics
from adctl.streams.admin import KafkaAdmin
from adctl.streams.places import PartitionPlaces
from adctl.streams.producer import OutgoingMessage, ReliableProducer
from adctl.streams.reader import TopicReader

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import psycopg
    from psycopg_pool import ConnectionPool

    from adctl.config import KafkaSettings
    from adctl.control.poison import Poison
    from adctl.stores.stream import EventStream
    from adctl.streams.consumer import IncomingMessage

    Pool = ConnectionPool[psycopg.Connection]

NOW = datetime.now(UTC)
THIS_HOUR = NOW.replace(minute=0, second=0, microsecond=0)
LAST_HOUR = THIS_HOUR - timedelta(hours=1)


def bury_nothing(_cluster_id: str, poison: Sequence[Poison]) -> None:
    assert not poison


class Group:
    """The analytics group, worked by hand."""

    def __init__(self, kafka: KafkaSettings, pool: Pool, stream: EventStream) -> None:
        self._kafka = kafka
        admin = KafkaAdmin(kafka.bootstrap, kafka)
        admin.ensure_topics()
        self.cluster_id = admin.cluster_id()
        self.producer = ReliableProducer(kafka.bootstrap, kafka.topic_prefix)
        self.places = PartitionPlaces(kafka.bootstrap, kafka.topic_prefix)
        self.analytics = Analytics(pool, bury_nothing)
        self.rebuilder = RollupRebuilder(pool, stream.key)
        self.seen = GroupStatus(pool, self.places, self.cluster_id)

    def send(self, hour: datetime, count: int) -> None:
        at_ms = int(hour.timestamp() * 1000) + 1
        made = Decision("r", "default", at_ms, bid=False, reason="no_candidates")
        value = msgspec.json.encode(made)
        self.producer.send([OutgoingMessage(topics.BIDS, b"%d" % n, value) for n in range(count)])

    def messages(self) -> list[IncomingMessage]:
        with TopicReader(self._kafka.bootstrap, [topics.BIDS], self._kafka.topic_prefix) as reader:
            return [message for batch in reader.batches() for message in batch]

    def read_on(self) -> int:
        """Read from the group's offsets to the end, as a consumer that begins; how many counted."""
        self.analytics.next_offsets(self.cluster_id)
        return self.analytics.apply(self.cluster_id, self.messages()).applied

    def rewind(self, since: datetime, *, dry_run: bool = False) -> None:
        AnalyticsRewind(self.rebuilder, self.places, self.cluster_id).rewind(since, dry_run=dry_run)

    def status(self, now: datetime) -> list[PartitionStatus]:
        return self.seen.read([ANALYTICS], now)


@pytest.fixture
def group(kafka: KafkaSettings, pool: Pool, stream: EventStream) -> Iterator[Group]:
    group = Group(kafka, pool, stream)
    yield group
    with group.places:
        group.producer.close()


def requests(postgres: psycopg.Connection) -> dict[datetime, int]:
    rows = postgres.execute("SELECT hour, sum(requests) FROM rollup_requests GROUP BY 1").fetchall()
    postgres.commit()
    return {hour: int(count) for hour, count in rows}


def test_status_says_how_far_the_group_is_behind(group: Group, pool: Pool) -> None:
    group.send(THIS_HOUR, 10)
    group.read_on()
    assert {status.lag for status in group.status(NOW)} == {0}
    assert {status.age_sec for status in group.status(NOW)} == {None}
    group.send(THIS_HOUR, 10)
    later = datetime.now(UTC) + timedelta(seconds=90)
    bids = [status for status in group.status(later) if status.topic == topics.BIDS]
    # The embedded broker may tell an end that is too low.
    assert 0 < sum(status.lag for status in bids) <= 10
    ages = [status.age_sec for status in bids if status.lag]
    assert all(age is not None and 85 < age < 120 for age in ages)


def test_what_is_read_again_counts_once(group: Group, postgres: psycopg.Connection) -> None:
    group.send(LAST_HOUR, 5)
    group.send(THIS_HOUR, 7)
    group.read_on()
    postgres.execute("UPDATE rollup_requests SET requests = 99 WHERE hour = %s", [THIS_HOUR])
    postgres.commit()
    group.rewind(THIS_HOUR)
    assert requests(postgres) == {LAST_HOUR: 5}
    group.read_on()
    assert requests(postgres) == {LAST_HOUR: 5, THIS_HOUR: 7}
    group.send(LAST_HOUR, 1)
    group.read_on()
    assert requests(postgres) == {LAST_HOUR: 6, THIS_HOUR: 7}


def test_a_rewind_in_a_replay_goes_back_to_the_earlier_moment(
    group: Group, postgres: psycopg.Connection
) -> None:
    group.send(LAST_HOUR, 5)
    group.send(THIS_HOUR, 7)
    group.read_on()
    group.rewind(LAST_HOUR)
    group.analytics.next_offsets(group.cluster_id)
    group.analytics.apply(group.cluster_id, group.messages()[:3])
    group.rewind(THIS_HOUR)
    assert requests(postgres) == {}
    group.read_on()
    assert requests(postgres) == {LAST_HOUR: 5, THIS_HOUR: 7}


def test_a_consumer_at_work_begins_anew_after_a_rewind(
    group: Group, postgres: psycopg.Connection
) -> None:
    group.send(THIS_HOUR, 5)
    group.read_on()
    before = len(group.messages())
    group.rewind(THIS_HOUR)
    group.send(THIS_HOUR, 3)
    later = group.messages()[:before]
    with pytest.raises(ConflictError, match="rewound"):
        group.analytics.apply(group.cluster_id, later)
    assert requests(postgres) == {}
    group.read_on()
    assert requests(postgres) == {THIS_HOUR: 8}


def test_a_dry_run_changes_nothing(group: Group, postgres: psycopg.Connection) -> None:
    group.send(THIS_HOUR, 5)
    group.read_on()
    offsets = group.analytics.next_offsets(group.cluster_id)
    group.rewind(THIS_HOUR, dry_run=True)
    assert requests(postgres) == {THIS_HOUR: 5}
    assert group.analytics.next_offsets(group.cluster_id) == offsets


def test_what_was_read_from_another_cluster_is_not_taken_out(
    group: Group, postgres: psycopg.Connection
) -> None:
    group.send(THIS_HOUR, 5)
    group.analytics.apply("replaced", group.messages())
    group.read_on()
    with pytest.raises(ConflictError, match="another Kafka cluster"):
        group.rewind(LAST_HOUR)
    assert requests(postgres) == {THIS_HOUR: 10}
