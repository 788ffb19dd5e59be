"""The billing consumer group: events that cost something into statement lines, each exactly once.

The ledger is the truth and says on which day an event was booked; the lines are its detail, built
from what Kafka tells. So they add up to invoices, and a check holds the two against each other.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING

from adctl.control.group_reading import Group, GroupReading
from adctl.control.poison import Poison, PoisonError, decode, require_stream_id
from adctl.models import DeadLetterReason, Event
from adctl.stores.statement_lines import Charge, LineKey, StatementLines
from adctl.streams import topics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import psycopg
    from psycopg_pool import ConnectionPool

    from adctl.control.group_reading import Positions
    from adctl.control.once import Rebuilt
    from adctl.streams.consumer import IncomingMessage

    Costly = list[tuple[IncomingMessage, Event]]

_BILLED = (topics.WINS, topics.IMPRESSIONS)
BILLING = Group("billing", topics=_BILLED, keyed=_BILLED)


class LineBuilder:
    """Adds what events cost to the statement lines."""

    def __init__(self) -> None:
        self._lines = StatementLines()

    def add(
        self,
        conn: psycopg.Connection,
        messages: Sequence[IncomingMessage],
        _: Positions,
        rebuilt: Rebuilt,
    ) -> list[Poison]:
        """Add to the lines, as adctl.control.group_reading.Builder says.

        An event that claims a cost, but is not in the ledger, makes no sense either.
        """
        costly, dead = _costly(messages)
        booked_on = self._lines.booked_on(conn, [event.event_id for _, event in costly])
        charges: defaultdict[LineKey, Charge] = defaultdict(Charge)
        for message, event in costly:
            if (day := booked_on.get(event.event_id)) is None:
                told = f"event {event.event_id} is not in the ledger"
                dead.append(Poison(message, DeadLetterReason.NOT_BOOKED, told))
                continue
            booked_ms = int(datetime.combine(day, time(), UTC).timestamp() * 1000)
            # What is put back was not in the ledger when its day was made.
            if not message.retried_from and rebuilt.covers(
                message.stream_id, event.occurred_at_ms, booked_ms
            ):
                continue
            charges[LineKey(day, event.campaign_id, event.exchange)].add(
                event.cost_nanos, late=event.late, unpriced=event.unpriced
            )
        self._lines.add(conn, charges)
        return dead


class Billing(GroupReading):
    """The group at work."""

    def __init__(
        self,
        pool: ConnectionPool[psycopg.Connection],
        bury: Callable[[str, Sequence[Poison]], None],
    ) -> None:
        super().__init__(BILLING, LineBuilder(), pool, bury)


def _costly(messages: Iterable[IncomingMessage]) -> tuple[Costly, list[Poison]]:
    """Return the events that cost something, and the messages that make no sense."""
    costly: Costly = []
    dead: list[Poison] = []
    for message in messages:
        try:
            require_stream_id(message)
            event = decode(message, Event)
        except PoisonError as exc:
            dead.append(Poison(message, exc.reason, str(exc)))
        else:
            if event.cost_nanos > 0:
                costly.append((message, event))
    return costly, dead
