"""From PostgreSQL to bidders and Kafka: each change at once, and again until it is confirmed.

The write-through after a change makes it fast; the outbox makes it certain. Redis always gets the
state as it is now, so that doing it twice, or late, is right; Kafka gets every change, in order.
"""

from __future__ import annotations

from datetime import UTC, datetime, time
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from adctl.errors import StoreUnavailableError
from adctl.models import Campaign, CampaignChange, Creative, Status
from adctl.stores.budgets import Spent, Wanted
from adctl.stores.pieces import pieces
from adctl.stores.positions import POSTGRES
from adctl.stores.postgres import load_queries, postgres_errors
from adctl.stores.stream import event_streams, stream_keys
from adctl.stores.stream_costs import StreamCosts
from adctl.streams import topics
from adctl.streams.producer import OutgoingMessage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import psycopg
    from psycopg_pool import ConnectionPool

    from adctl.stores.budgets import Budgets
    from adctl.stores.catalog import CatalogStore

    Produce = Callable[[Sequence[OutgoingMessage]], None]

# Held by whoever writes many campaigns from one reading of PostgreSQL, so that an older reading
# never overwrites a newer one for good: a change made meanwhile is relayed after it.
_PUBLISHING_LOCK = 7_237_442
_BATCH = 200
# Whoever relays more goes on at its next call, and can be stopped in between.
_RELAYING_SEC = 0.8
# From one reading of the ledger, which soon is too old: the stream is trimmed every second.
_SYNCED_TOGETHER = 200
_ATTEMPTS = 10

_queries = load_queries("queries/control_documents.sql")
_grants = load_queries("queries/grants.sql")
_marks = load_queries("queries/redis_marks.sql")


class Making(NamedTuple):
    """How money is made in Redis: ``anew`` though it is there.

    In a server that PostgreSQL knows as found right, or where each shard's generation says what is
    ``confirmed`` here; ``regardless`` in any, and though it was made from a newer ledger.
    """

    anew: bool = False
    confirmed: tuple[str, ...] | None = None
    regardless: bool = False

    def of(self, spent: Spent) -> Spent:
        """Return what was spent, as it may be made into money."""
        if self.regardless:
            return spent._replace(confirmed=None)
        return spent if self.confirmed is None else spent._replace(confirmed=self.confirmed)


_USUALLY = Making()


class Document(NamedTuple):
    """A campaign as bidders get it, and whether they may bid on it now."""

    campaign: Campaign
    serving: bool


def read_documents(
    conn: psycopg.Connection, campaign_ids: Iterable[int], now: datetime
) -> list[Document]:
    """Return the documents of those campaigns that exist, ordered by id."""
    rows = _queries.catalog_documents(conn, campaign_ids=list(campaign_ids))
    return [_document(columns, advertiser_status, now) for columns, advertiser_status in rows]


def read_creative_document(conn: psycopg.Connection, creative_id: int) -> Creative | None:
    """Return a creative whatever its status: a click on an ad shown earlier still has to land."""
    columns = _queries.creative_document(conn, creative_id=creative_id)
    return msgspec.convert(columns, Creative) if columns else None


def is_serving(campaign: Campaign, advertiser_status: str, now: datetime) -> bool:
    """Return whether a campaign belongs in the catalog; one that starts later does."""
    active = campaign.status is Status.ACTIVE and advertiser_status == Status.ACTIVE
    return active and (campaign.ends_at is None or campaign.ends_at > now)


def write_through(
    conn: psycopg.Connection,
    catalog: CatalogStore,
    budgets: Budgets,
    documents: Sequence[Document],
    now: datetime,
) -> None:
    """Make Redis hold these campaigns and their budgets; repeating it changes nothing.

    Raises StoreUnavailableError; the outbox then brings them later.
    """
    # Budgets first: a campaign that bidders know but that has no money yet would be refused.
    _sync_budgets(conn, budgets, [document.campaign for document in documents], now)
    catalog.publish_all(documents)


def relay_outbox(
    pool: ConnectionPool[psycopg.Connection],
    catalog: CatalogStore,
    budgets: Budgets,
    produce: Produce,
) -> int:
    """Bring waiting changes to Redis and Kafka, oldest first; return how many were confirmed.

    ``produce`` returns once Kafka has confirmed every message, or raises. Any number of programs
    may call at once: one of them works, the others return 0. After a second or so the rest is left
    for the next call. Raises StoreUnavailableError; what was not confirmed is kept, and goes out
    again.
    """
    until = monotonic() + _RELAYING_SEC
    # All that wait first: Kafka being down must not keep them from bidders. Each is noted once it
    # is written, so that those who wait for Kafka are not written again and again.
    while _write_some(pool, catalog, budgets) == _BATCH and monotonic() < until:
        pass
    confirmed = 0
    while True:
        sent = _send_some(pool, produce)
        confirmed += sent
        if sent < _BATCH or monotonic() >= until:
            return confirmed


def _write_some(
    pool: ConnectionPool[psycopg.Connection], catalog: CatalogStore, budgets: Budgets
) -> int:
    """Bring the oldest changes that Redis has not confirmed there; return how many."""
    with postgres_errors("relay changes"), pool.connection() as conn, conn.transaction():
        if not _queries.take_turn(conn, lock=_PUBLISHING_LOCK):
            return 0
        rows = list(_queries.unwritten(conn, batch_size=_BATCH))
        if rows:
            now = datetime.now(UTC)
            documents = read_documents(conn, {campaign_id for _, campaign_id in rows}, now)
            write_through(conn, catalog, budgets, documents, now)
            _queries.are_written(conn, ids=[row_id for row_id, _ in rows])
        return len(rows)


def _send_some(pool: ConnectionPool[psycopg.Connection], produce: Produce) -> int:
    """Bring the oldest changes that Redis has confirmed to Kafka, and forget them; how many."""
    with postgres_errors("relay changes"), pool.connection() as conn, conn.transaction():
        if not _queries.take_turn(conn, lock=_PUBLISHING_LOCK):
            return 0
        rows = list(_queries.written(conn, batch_size=_BATCH))
        if rows:
            produce([_outgoing(campaign_id, message) for _, campaign_id, message in rows])
            _queries.forget_outbox(conn, ids=[row_id for row_id, _, _ in rows])
        return len(rows)


def sync_all(
    pool: ConnectionPool[psycopg.Connection], catalog: CatalogStore, budgets: Budgets
) -> int:
    """Rebuild the catalog in Redis, and the budgets it has lost; return the campaigns served.

    Budgets that are there are left alone but for their size: they know of spend that PostgreSQL
    does not know yet. Raises StoreUnavailableError.
    """
    with postgres_errors("read the catalog"), pool.connection() as conn, conn.transaction():
        return make_all(conn, catalog, budgets, _USUALLY)


def make_all(
    conn: psycopg.Connection, catalog: CatalogStore, budgets: Budgets, making: Making
) -> int:
    """Rebuild the catalog in Redis, and money as ``making`` says; return the campaigns served.

    Within a transaction of the caller's. Raises StoreUnavailableError.
    """
    now = datetime.now(UTC)
    _queries.wait_turn(conn, lock=_PUBLISHING_LOCK)
    costs = _costs_of(budgets)
    serving_ids: set[int] = set()
    # Some after the other: PostgreSQL, which others wait for, takes a program that says nothing for
    # long for one that was stopped.
    for some in pieces(_queries.live_campaign_ids(conn), _SYNCED_TOGETHER):
        documents = read_documents(conn, some, now)
        campaigns = [document.campaign for document in documents]
        _sync_budgets(conn, budgets, campaigns, now, making, costs)
        serving = [document.campaign for document in documents if document.serving]
        catalog.store(serving)
        serving_ids.update(campaign.id for campaign in serving)
    catalog.set_active(serving_ids)
    return len(serving_ids)


def sync_budgets(
    conn: psycopg.Connection, budgets: Budgets, campaign_ids: Iterable[int], now: datetime
) -> None:
    """Make Redis hold the budgets these campaigns have now. Raises StoreUnavailableError."""
    campaigns = [document.campaign for document in read_documents(conn, campaign_ids, now)]
    _sync_budgets(conn, budgets, campaigns, now)


def mend_budgets(
    conn: psycopg.Connection,
    budgets: Budgets,
    campaign_ids: Iterable[int],
    now: datetime,
    *,
    regardless: bool = False,
) -> None:
    """Make the money of these campaigns anew, whatever Redis holds of it.

    ``regardless`` also of what server it is, and of whether what it holds was made from a newer
    ledger; the caller then keeps the flusher from moving on. Raises StoreUnavailableError.
    """
    campaigns = [document.campaign for document in read_documents(conn, campaign_ids, now)]
    _sync_budgets(conn, budgets, campaigns, now, Making(anew=True, regardless=regardless))


def remake_recounted(pool: ConnectionPool[psycopg.Connection], budgets: Budgets) -> int:
    """Make anew the money of campaigns that Redis counted an event of twice; return how many.

    Raises StoreUnavailableError; they are then found again.
    """
    with postgres_errors("make budgets anew"), pool.connection() as conn, conn.transaction():
        campaign_ids = [row[0] for row in _marks.take_recounted(conn)]
        if campaign_ids:
            mend_budgets(conn, budgets, campaign_ids, datetime.now(UTC))
    return len(campaign_ids)


def read_serving(conn: psycopg.Connection, now: datetime) -> list[Campaign]:
    """Return every campaign that may be served, as PostgreSQL has it."""
    documents = read_documents(conn, _queries.servable_campaign_ids(conn), now)
    return [document.campaign for document in documents if document.serving]


def fill_catalog(conn: psycopg.Connection, catalog: CatalogStore) -> list[Campaign]:
    """Write the whole catalog to Redis, budgets aside; return the campaigns in it."""
    with conn.transaction():
        _queries.wait_turn(conn, lock=_PUBLISHING_LOCK)
        serving = read_serving(conn, datetime.now(UTC))
        catalog.fill(serving)
    return serving


def _document(columns: dict[str, object], advertiser_status: str, now: datetime) -> Document:
    campaign = msgspec.convert(columns, Campaign)
    return Document(campaign, is_serving(campaign, advertiser_status, now))


def _sync_budgets(
    conn: psycopg.Connection,
    budgets: Budgets,
    campaigns: Sequence[Campaign],
    now: datetime,
    making: Making = _USUALLY,
    costs: StreamCosts | None = None,
) -> None:
    costs = costs or _costs_of(budgets)
    for some in pieces(campaigns, _SYNCED_TOGETHER):
        waiting, how = list(some), making
        for _ in range(_ATTEMPTS):
            waiting = _sync_some(conn, budgets, costs, waiting, now, how)
            if not waiting:
                break
            # Shares that were made from two readings of the ledger would not add up.
            how = how._replace(anew=True)
        else:
            raise StoreUnavailableError(
                "PostgreSQL: the ledger moves on faster than budgets can be made from it, or was "
                "restored to the past"
            )


def _costs_of(budgets: Budgets) -> StreamCosts:
    return StreamCosts(event_streams(budgets.client, budgets.shards))


def _sync_some(
    conn: psycopg.Connection,
    budgets: Budgets,
    costs: StreamCosts,
    campaigns: Sequence[Campaign],
    now: datetime,
    making: Making,
) -> list[Campaign]:
    """Return those whose money could not be made, as the ledger had moved on."""
    in_force = _in_force(conn, [campaign.id for campaign in campaigns])
    spent = _spent(conn, budgets, campaigns, now)
    # One statement read them, so all of them were read where the ledger is in the streams now.
    flushed_ids = spent[campaigns[0].id].flushed_ids
    if costs.read(flushed_ids):
        spent = {
            number: one._replace(streamed=costs.of(number, flushed_ids))
            for number, one in spent.items()
        }
    wanted = [
        Wanted(
            msgspec.structs.replace(whole, total_budget_nanos=in_force[whole.id]),
            _local_midnight(whole, now).date(),
            making.of(spent[whole.id]),
        )
        for whole in campaigns
    ]
    behind = {campaign.id for campaign in budgets.sync_each(wanted, anew=making.anew)}
    return [whole for whole in campaigns if whole.id in behind]


def _spent(
    conn: psycopg.Connection, budgets: Budgets, campaigns: Sequence[Campaign], now: datetime
) -> dict[int, Spent]:
    rows = _queries.spent(
        conn,
        campaign_ids=[campaign.id for campaign in campaigns],
        days_began=[_local_midnight(campaign, now) for campaign in campaigns],
        streams=stream_keys(budgets.shards),
        reader=POSTGRES,
    )
    return {row[0]: Spent(row[1], row[2], row[3], tuple(row[4]), tuple(row[5])) for row in rows}


def _in_force(conn: psycopg.Connection, campaign_ids: list[int]) -> dict[int, int]:
    """Return what campaigns may bid with, and keep it so until the transaction ends."""
    list(_grants.hold_grants(conn, campaign_ids=campaign_ids))
    return dict(_grants.in_force(conn, campaign_ids=campaign_ids))


def _local_midnight(campaign: Campaign, now: datetime) -> datetime:
    zone = ZoneInfo(campaign.timezone)
    return datetime.combine(now.astimezone(zone).date(), time(), zone)


def _outgoing(campaign_id: int, message: object) -> OutgoingMessage:
    change = msgspec.convert(message, CampaignChange)
    return OutgoingMessage(topics.CAMPAIGNS, str(campaign_id).encode(), msgspec.json.encode(change))
