"""What every change goes through: one transaction with its audit and outbox rows, then Redis."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session

from adctl.control.publishing import read_documents, write_through
from adctl.errors import ConflictError, Fault, FaultyInputError, StoreUnavailableError
from adctl.models import CampaignChange
from adctl.stores.catalog import CatalogStore
from adctl.stores.endpoints import resolve
from adctl.stores.redis import connect
from adctl.stores.sharded_budgets import open_budgets
from adctl.stores.tables import AuditRow, OutboxRow, open_engine, psycopg_of, sql_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlalchemy import Engine

    from adctl.config import Settings
    from adctl.control.publishing import Document
    from adctl.stores.budgets import Budgets
    from adctl.stores.tables import AdvertiserRow, CampaignRow, CreativeRow

View = TypeVar("View")

_ACTOR_LENGTH = 100
NO_ID = 0
"""The id of what a dry run would create."""
_UNPUBLISHED = "written; will reach the bidders when Redis is back"


@dataclass(frozen=True)
class ControlPlane:
    """The stores a change goes to. Safe to share between threads."""

    engine: Engine
    catalog: CatalogStore
    budgets: Budgets
    currency: str = "USD"


@dataclass(frozen=True)
class Outcome(Generic[View]):
    """What a verb did. ``notices`` are for the person who asked.

    ``changed`` is False if everything was so already: then nothing was written. ``published`` is
    False if Redis could not be told; the outbox will.
    """

    view: View
    changed: bool
    published: bool
    dry_run: bool
    notices: tuple[str, ...] = ()


@dataclass
class Change:
    """One change being made. Rows are read and written through ``session``.

    Ids are not given back when a transaction is, so a dry run takes none: what it would create has
    the id 0, and its audit and outbox rows are not written to begin with.
    """

    session: Session
    actor: str
    now: datetime
    dry_run: bool
    changed: bool = False
    published: bool = True
    notices: list[str] = field(default_factory=list)
    _touched: dict[int, str] = field(default_factory=dict)

    def record(
        self,
        entity: str,
        entity_id: int,
        action: str,
        before: Mapping[str, object] | None,
        after: Mapping[str, object],
    ) -> None:
        """Write the audit row of what has been done to an entity."""
        self.changed = True
        if self.dry_run:
            return
        self.session.add(
            AuditRow(
                at=self.now,
                actor=self.actor,
                entity=entity,
                entity_id=entity_id,
                action=action,
                before=_plain(before),
                after=_plain(after),
            )
        )

    def create(self, row: AdvertiserRow | CampaignRow | CreativeRow) -> None:
        """Insert a row, which has its id afterwards."""
        if self.dry_run:
            row.id = NO_ID
        self.session.add(row)
        self.session.flush()

    def touch(self, campaign: CampaignRow, action: str, *, created: bool = False) -> None:
        """Give a campaign its next version, and note that bidders and Kafka have to hear of it."""
        if not created:
            campaign.version += 1
            campaign.updated_at = self.now
        self._touched[campaign.id] = action

    def write_outbox(self) -> list[Document]:
        """Write an outbox row for each touched campaign; return their documents as they are now."""
        self.session.flush()
        if self.dry_run:
            return []
        documents = read_documents(psycopg_of(self.session), self._touched, self.now)
        for campaign, serving in documents:
            change = CampaignChange(
                campaign_id=campaign.id,
                version=campaign.version,
                action=self._touched[campaign.id],
                at=self.now,
                actor=self.actor,
                serving=serving,
                campaign=campaign,
            )
            message = msgspec.json.decode(msgspec.json.encode(change))
            self.session.add(OutboxRow(campaign_id=campaign.id, message=message))
        return documents

    def outcome(self, view: View) -> Outcome[View]:
        """Return what was done, once the change is over."""
        return Outcome(view, self.changed, self.published, self.dry_run, tuple(self.notices))


@contextmanager
def open_plane(settings: Settings) -> Iterator[ControlPlane]:
    """Open the control plane on the stores of ``settings``, and hang up at the end.

    Raises StoreUnavailableError if an embedded store is needed and does not run; otherwise nothing
    connects before it is used.
    """
    endpoints = resolve(settings)
    engine = open_engine(endpoints.postgres_url, settings.postgres)
    try:
        with connect(endpoints.redis_url, settings.redis) as client:
            catalog = CatalogStore(client, settings.catalog.ttl_sec)
            budgets = open_budgets(client, settings.redis.shards)
            yield ControlPlane(engine, catalog, budgets, settings.currency)
    finally:
        engine.dispose()


@contextmanager
def change(plane: ControlPlane, actor: str, *, dry_run: bool) -> Iterator[Change]:
    """Run a change: commit it and tell Redis, or with ``dry_run`` take everything back.

    Rows, audit and outbox are one transaction. Redis being down is no failure: the change is then
    in the outbox, and ``published`` is False. Raises ConflictError for a name that is taken, and
    StoreUnavailableError if PostgreSQL is down.
    """
    with sql_errors("write the change"), Session(plane.engine, expire_on_commit=False) as session:
        making = Change(session, _checked(actor), datetime.now(UTC), dry_run)
        try:
            yield making
            documents = making.write_outbox()
            session.flush()
        except IntegrityError as exc:
            raise _conflict(exc) from exc
        if dry_run:
            session.rollback()
            return
        session.commit()
        if documents:
            making.published = _published(plane, session, documents, making.now)
        if not making.published:
            making.notices.append(_UNPUBLISHED)


@contextmanager
def reading(plane: ControlPlane) -> Iterator[Session]:
    """Open a session that only reads. Raises StoreUnavailableError."""
    with sql_errors("read"), Session(plane.engine, expire_on_commit=False) as session:
        yield session


def _published(
    plane: ControlPlane, session: Session, documents: list[Document], now: datetime
) -> bool:
    try:
        with sql_errors("read what was spent"):
            write_through(psycopg_of(session), plane.catalog, plane.budgets, documents, now)
    except StoreUnavailableError:
        return False
    return True


def _checked(actor: str) -> str:
    if not 0 < len(actor) <= _ACTOR_LENGTH or not actor.isprintable():
        expected = f"a name of 1 to {_ACTOR_LENGTH} printable characters"
        raise FaultyInputError("the change", [Fault("actor", actor[:_ACTOR_LENGTH], expected)])
    return actor


def _conflict(exc: IntegrityError) -> Exception:
    # A check made beforehand would miss a name that someone else takes in the same moment.
    constraint = str(getattr(getattr(exc.orig, "diag", None), "constraint_name", ""))
    taken = {
        "advertiser_name_key": "there is an advertiser of that name",
        "campaign_advertiser_id_name_key": "the advertiser has a campaign of that name",
        "creative_campaign_id_name_key": "the campaign has a creative of that name",
    }
    return ConflictError(f"{taken[constraint]} already") if constraint in taken else exc


def _plain(fields: Mapping[str, object] | None) -> Any:
    return None if fields is None else msgspec.to_builtins(dict(fields))
