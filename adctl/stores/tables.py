"""The control plane's tables as SQLModel rows. The schema itself is sql/migrations'."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import msgspec
import psycopg
from sqlalchemy import BigInteger, Column, DateTime, Engine, create_engine, event, make_url
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlmodel import Field, Session, SQLModel

from adctl.config import PostgresSettings
from adctl.errors import StoreUnavailableError
from adctl.stores.postgres import CONNECTION
from adctl.stores.schema_version import SchemaGuard


def _json() -> Any:
    return Field(sa_column=Column(JSONB, nullable=False))


def _instant(*, nullable: bool = False) -> Any:
    return Field(sa_column=Column(DateTime(timezone=True), nullable=nullable))


class AdvertiserRow(SQLModel, table=True):
    """``advertiser``."""

    __tablename__ = "advertiser"

    id: int = Field(default=None, primary_key=True)
    name: str
    status: str
    fee_ppm: int = 0
    prepaid: bool = False
    funded: bool = True
    created_at: datetime = _instant()
    updated_at: datetime = _instant()


class CampaignRow(SQLModel, table=True):
    """``campaign``. Its JSON columns hold that of the structs in adctl.models."""

    __tablename__ = "campaign"

    id: int = Field(default=None, primary_key=True)
    advertiser_id: int = Field(foreign_key="advertiser.id")
    name: str
    status: str
    bid_strategy: str
    bid_amount_micros: int = Field(sa_type=BigInteger)
    daily_budget_nanos: int = Field(sa_type=BigInteger)
    total_budget_nanos: int = Field(sa_type=BigInteger)
    starts_at: datetime = _instant()
    ends_at: datetime | None = _instant(nullable=True)
    timezone: str
    pacing: str
    targeting: dict[str, Any] = _json()
    caps: list[dict[str, Any]] = _json()
    unidentified: str
    deals: list[dict[str, Any]] = _json()
    roadblock: bool = False
    max_cpm_micros: int | None = Field(default=None, sa_type=BigInteger)
    late_margin_nanos: int = Field(default=0, sa_type=BigInteger)
    version: int = 1
    created_at: datetime = _instant()
    updated_at: datetime = _instant()


class CreativeRow(SQLModel, table=True):
    """``creative``."""

    __tablename__ = "creative"

    id: int = Field(default=None, primary_key=True)
    campaign_id: int = Field(foreign_key="campaign.id")
    name: str
    kind: str
    status: str
    landing_url: str
    adomain: list[str] = _json()
    width: int
    height: int
    image_url: str
    markup: str
    cat: list[str] = _json()
    cattax: int
    attr: list[int] = _json()
    banner_type: int
    language: str
    app_bundle: str = ""
    media: dict[str, Any] = _json()
    created_at: datetime = _instant()
    updated_at: datetime = _instant()


class AuditRow(SQLModel, table=True):
    """``audit``: one accepted change, with what was there before and after."""

    __tablename__ = "audit"

    id: int = Field(default=None, primary_key=True, sa_type=BigInteger)
    at: datetime = _instant()
    actor: str
    entity: str
    entity_id: int
    action: str
    before: dict[str, Any] | None = Field(sa_column=Column(JSONB(none_as_null=True)))
    after: dict[str, Any] | None = Field(sa_column=Column(JSONB(none_as_null=True)))


class OutboxRow(SQLModel, table=True):
    """``outbox``: a CampaignChange that Redis and Kafka have not both confirmed yet."""

    __tablename__ = "outbox"

    id: int = Field(default=None, primary_key=True, sa_type=BigInteger)
    campaign_id: int
    message: dict[str, Any] = _json()
    written: bool = False


def open_engine(url: str, settings: PostgresSettings) -> Engine:
    """Return an engine with a pool of its own; it connects on first use and heals by itself.

    Safe to share between threads. Dispose of it when done. What is asked of a database that is
    newer than this program raises NewerSchemaError.
    """
    engine = create_engine(
        make_url(url).set(drivername="postgresql+psycopg"),
        pool_size=settings.pool_size,
        max_overflow=0,
        # What a statement was given stays out of its error.
        hide_parameters=True,
        pool_timeout=settings.connect_timeout_sec,
        # A connection the server has dropped is replaced before anything is tried on it.
        pool_pre_ping=True,
        # A listing reads eight documents a campaign.
        json_deserializer=msgspec.json.decode,
        connect_args={**CONNECTION, "connect_timeout": settings.connect_timeout_sec},
    )
    guard = SchemaGuard()
    event.listen(engine, "checkout", lambda connection, *_: guard.look(connection))
    return engine


@contextmanager
def sql_errors(doing: str) -> Iterator[None]:
    """Turn a lost or unreachable server into StoreUnavailableError, as postgres_errors does.

    Errors that say the statement was wrong pass through: they are bugs, not outages.
    """
    lost = (psycopg.OperationalError, psycopg.InterfaceError)
    try:
        yield
    except (*lost, PoolTimeoutError) as exc:
        raise StoreUnavailableError(f"PostgreSQL: could not {doing}: {exc}") from exc
    except DBAPIError as exc:
        if isinstance(exc.orig, lost):
            raise StoreUnavailableError(f"PostgreSQL: could not {doing}: {exc.orig}") from exc
        raise


def psycopg_of(session: Session) -> psycopg.Connection:
    """Return the connection ``session`` is on, for a query of sql/queries in its transaction."""
    connection: Any = session.connection().connection.driver_connection
    return connection  # type: ignore[no-any-return]
