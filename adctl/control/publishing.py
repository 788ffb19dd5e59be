"""From PostgreSQL to bidders and Kafka: each change at once, and again until it is confirmed.

The write-through after a change makes it fast; the outbox makes it certain. Redis always gets the
state as it is now, so that doing it twice, or late, is right; Kafka gets every change, in order.
"""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from adctl.errors import StoreUnavailableError
from adctl.models import Campaign, CampaignChange, Creative, Status
from adctl.stores.budgets import LedgerMovedOnError, Spent
from adctl.stores.positions import POSTGRES
from adctl.stores.postgres import load_queries, postgres_errors
from adctl.stores.stream import stream_keys
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
    for document in documents:
        catalog.publish(document.campaign, document.serving)


def relay_outbox(
    pool: ConnectionPool[psycopg.Connection],
    catalog: CatalogStore,
    budgets: Budgets,
    produce: Produce,
) -> int:
    """Bring waiting changes to Redis and Kafka, oldest first; return how many were confirmed.

    ``produce`` returns once Kafka has confirmed every message, or raises. Any number of programs
    may call at once: one of them works, the others return 0. Raises StoreUnavailableError; what
    was not confirmed is kept, and goes out again.
    """
    with postgres_errors("relay changes"), pool.connection() as conn, conn.transaction():
        if not _queries.take_turn(conn, lock=_PUBLISHING_LOCK):
            return 0
        rows = list(_queries.outbox_batch(conn, batch_size=_BATCH))
        if not rows:
            return 0
        now = datetime.now(UTC)
        # All that wait, not just this batch: Kafka being down must not keep them from bidders.
        documents = read_documents(conn, _queries.outbox_campaign_ids(conn), now)
        write_through(conn, catalog, budgets, documents, now)
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
    documents = read_documents(conn, _queries.live_campaign_ids(conn), now)
    _sync_budgets(conn, budgets, [document.campaign for document in documents], now, making)
    serving = [document.campaign for document in documents if document.serving]
    catalog.fill(serving)
    return len(serving)


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
) -> None:
    for at in range(0, len(campaigns), _SYNCED_TOGETHER):
        waiting = campaigns[at : at + _SYNCED_TOGETHER]
        for _ in range(_ATTEMPTS):
            waiting = _sync_some(conn, budgets, waiting, now, making)
            if not waiting:
                break
            # Shares that were made from two readings of the ledger would not add up.
            making = making._replace(anew=True)
        else:
            raise StoreUnavailableError(
                "PostgreSQL: the ledger moves on faster than budgets can be made from it, or was "
                "restored to the past"
            )


def _sync_some(
    conn: psycopg.Connection,
    budgets: Budgets,
    campaigns: Sequence[Campaign],
    now: datetime,
    making: Making,
) -> list[Campaign]:
    """Return those whose money could not be made, as the ledger had moved on."""
    in_force = _in_force(conn, [campaign.id for campaign in campaigns])
    spent = _spent(conn, budgets, campaigns, now)
    behind: list[Campaign] = []
    for whole in campaigns:
        campaign = msgspec.structs.replace(whole, total_budget_nanos=in_force[whole.id])
        day = _local_midnight(campaign, now).date()
        try:
            budgets.sync(campaign, day, making.of(spent[campaign.id]), anew=making.anew)
        except LedgerMovedOnError:
            behind.append(whole)
    return behind


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
