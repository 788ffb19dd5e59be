"""Statement lines: the detail of invoices, built from Kafka and equal to the ledger."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
import pytest
from typer.testing import CliRunner

from adctl.cli.root import app
from adctl.control.billing import Billing
from adctl.control.flushing import Flusher
from adctl.control.rebuilding import StatementRebuilder
from adctl.control.statement_lines import check_lines, read_lines
from adctl.control.statements import invoice, parse_month
from adctl.models import EventKind
from adctl.streams.consumer import IncomingMessage

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg
    from psycopg_pool import ConnectionPool

    from adctl.config import Settings
    from adctl.control.poison import Poison
    from adctl.models import Event
    from adctl.stores.stream import EventStream
    from tests.integration.house import House

    MakeEvent = Callable[..., Event]
    Append = Callable[..., None]

CLUSTER = "cluster-1"
MONTH = parse_month(None, datetime.now(UTC))


class Books:
    """The event stream, the ledger it is flushed to, and the billing group, worked by hand."""

    def __init__(self, pool: ConnectionPool[psycopg.Connection], stream: EventStream) -> None:
        self.pool, self.stream = pool, stream
        self.buried: list[Poison] = []
        self.billing = Billing(pool, lambda _cluster_id, poison: self.buried.extend(poison))
        self.rebuilder = StatementRebuilder(pool, stream.key)
        self._offset = 0

    def flush(self) -> None:
        Flusher(self.pool, self.stream).drain(100)

    def messages(self) -> list[IncomingMessage]:
        """Return what the relay sends of the stream, at offsets that go on."""
        entries = self.stream.read("0-0", 1000)
        return [self.message(msgspec.json.encode(entry.decode()), entry.id) for entry in entries]

    def message(self, value: bytes, stream_id: str = "1-1", **more: str) -> IncomingMessage:
        self._offset += 1
        return IncomingMessage("impressions", 0, self._offset, value, stream_id, **more)

    def bill(self, *messages: IncomingMessage) -> int:
        return self.billing.apply(CLUSTER, messages).applied

    def lines(self) -> list[tuple[object, ...]]:
        with self.pool.connection() as conn:
            return [tuple(line[2:]) for line in read_lines(conn, MONTH, None)]

    def faults(self) -> list[str]:
        return [fault.what for fault in check_lines(self.pool, MONTH, 0)]


@pytest.fixture
def books(pool: ConnectionPool[psycopg.Connection], stream: EventStream) -> Books:
    return Books(pool, stream)


def test_lines_tell_what_was_billed_of_it_late_and_of_it_without_a_price(
    books: Books, append: Append, make_event: MakeEvent
) -> None:
    append(make_event("a"), make_event("b", cost_nanos=3), make_event("free", cost_nanos=0))
    append(make_event("c", kind=EventKind.BILL, cost_nanos=5), late="1")
    append(make_event("d", exchange="other", unpriced=True, cost_nanos=7))
    append(make_event("e", campaign_id=2, cost_nanos=11), make_event("test", test=True))
    books.flush()
    books.bill(*books.messages())
    assert books.lines() == [
        (1, None, "default", 3, "0.002500008", 1, "0.000000005", 0, "0.00"),
        (1, None, "other", 1, "0.000000007", 0, "0.00", 1, "0.000000007"),
        (2, None, "default", 1, "0.000000011", 0, "0.00", 0, "0.00"),
    ]
    assert books.faults() == books.buried == []


def test_an_event_that_comes_again_is_billed_once(
    books: Books, append: Append, make_event: MakeEvent
) -> None:
    append(make_event("a"))
    books.flush()
    first = books.messages()
    assert [books.bill(*first), books.bill(*first), books.bill(*books.messages())] == [1, 0, 0]
    assert books.faults() == []


def test_a_month_of_lines_is_its_invoice(
    house: House, books: Books, append: Append, make_event: MakeEvent
) -> None:
    for _ in range(3):
        assert house.show(house.bid()) == "taken"
    append(make_event("other", campaign_id=house.campaign_id, exchange="other"), late="1")
    books.flush()
    books.bill(*books.messages())
    billed = invoice(house.plane, "Acme", MONTH, datetime.now(UTC)).lines
    with books.pool.connection() as conn:
        lines = read_lines(conn, MONTH, 1)
    assert {line.exchange for line in lines} == {"default", "other"}
    sums = Counter[str]()
    for line in lines:
        sums.update(impressions=line.impressions, late=line.late_impressions)
    assert [(one.impressions, one.late_impressions) for one in billed] == [
        (sums["impressions"], sums["late"])
    ]
    assert books.faults() == []


def test_lines_are_rebuilt_as_kafka_made_them(
    books: Books, append: Append, make_event: MakeEvent, postgres: psycopg.Connection
) -> None:
    append(*(make_event(f"e{n}", campaign_id=n % 3 + 1, unpriced=n % 2 == 0) for n in range(9)))
    append(make_event("late"), late="1")
    books.flush()
    books.bill(*books.messages())
    built = books.lines()
    postgres.execute("UPDATE statement_line SET spend_nanos = 1 WHERE campaign_id = 2")
    postgres.execute("DELETE FROM statement_line WHERE campaign_id = 1")
    postgres.commit()
    assert sorted(books.faults()) == ["less than the ledger has", "less than the ledger has"]
    assert books.rebuilder.rebuild(dry_run=True) == 3
    assert books.lines() != built
    assert books.rebuilder.rebuild() == 3
    assert books.lines() == built
    assert books.bill(*books.messages()) == 0


def test_a_rebuild_takes_what_kafka_has_not_brought_yet(
    books: Books, append: Append, make_event: MakeEvent
) -> None:
    append(make_event("a"))
    books.flush()
    books.billing.apply(CLUSTER, [books.message(b"{", "0-1")])
    books.rebuilder.rebuild()
    assert books.bill(*books.messages()) == 0
    assert books.faults() == []


def test_a_line_with_more_than_the_ledger_is_never_waited_for(
    books: Books, append: Append, make_event: MakeEvent, postgres: psycopg.Connection
) -> None:
    append(make_event("a"))
    books.flush()
    books.bill(*books.messages())
    postgres.execute("UPDATE statement_line SET late_impressions = 1")
    postgres.commit()
    (fault,) = check_lines(books.pool, MONTH, 600)
    assert fault.what == "more than the ledger has"


@pytest.mark.parametrize(
    ("value", "stream_id", "version", "reason"),
    [
        (b"\xff", "1-1", "", "not_json"),
        (b'{"event_id":1}', "1-1", "1", "wrong_shape"),
        (b'{"event_id":1}', "1-1", "99", "newer_schema"),
        (b"{}", "", "", "bad_header"),
        (b"{}", "1-1", "new", "bad_header"),
    ],
)
def test_messages_that_make_no_sense_are_buried(
    books: Books, value: bytes, stream_id: str, version: str, reason: str
) -> None:
    assert books.bill(books.message(value, stream_id, schema_version=version)) == 0
    assert [poison.reason for poison in books.buried] == [reason]


def test_what_the_ledger_does_not_know_is_not_billed_until_it_does(
    books: Books, append: Append, make_event: MakeEvent
) -> None:
    append(make_event("a"), make_event("b"))
    other, ours = books.messages()
    assert books.bill(other, ours) == 0
    assert [poison.reason for poison in books.buried] == ["not_booked", "not_booked"]
    books.flush()
    origin = f"{CLUSTER}/impressions/0/{ours.offset}"
    for _ in range(2):
        again = books.message(
            ours.value, ours.stream_id, retried_from=origin, retried_for="billing"
        )
        books.bill(again)
    assert books.lines() == [(1, None, "default", 1, "0.0025", 0, "0.00", 0, "0.00")]


def test_an_operator_sees_lines_and_what_is_wrong_with_them(
    books: Books,
    append: Append,
    make_event: MakeEvent,
    settings: Settings,
    postgres: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ADCTL_POSTGRES_URL", settings.postgres.url.get_secret_value())
    append(make_event("a"))
    books.flush()
    books.bill(*books.messages())

    def run(line: str, code: int = 0) -> str:
        result = CliRunner().invoke(app, line.split())
        assert result.exit_code == code, result.output
        return result.stdout

    (line,) = msgspec.json.decode(run("report lines --output json"))
    assert (line["impressions"], line["spend"]) == (1, "0.0025")
    assert msgspec.json.decode(run("report lines --check --output json")) == []
    postgres.execute("UPDATE statement_line SET impressions = 2")
    postgres.commit()
    (fault,) = msgspec.json.decode(run("report lines --check --output json", 1))
    assert (fault["impressions"], fault["booked_impressions"]) == (2, 1)
    run("rebuild statements")
    run("report lines --check")
    run("consumer rewind billing --to 1h --yes", 6)
