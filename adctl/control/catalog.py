"""The catalog as PostgreSQL has it: what bidders and trackers ask for when Redis does not know."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import text

from adctl.control.plane import ControlPlane, reading
from adctl.control.publishing import (
    fill_catalog,
    read_creative_document,
    read_documents,
    read_serving,
)
from adctl.errors import NotFoundError, StoreUnavailableError
from adctl.stores.tables import psycopg_of

if TYPE_CHECKING:
    from adctl.models import Campaign, Creative


def serving_campaigns(plane: ControlPlane) -> list[Campaign]:
    """Return every campaign that may be served, and write them to Redis if it is there."""
    with reading(plane) as session:
        with suppress(StoreUnavailableError):
            return fill_catalog(psycopg_of(session), plane.catalog)
        return read_serving(psycopg_of(session), datetime.now(UTC))


def serving_campaign(plane: ControlPlane, campaign_id: int) -> Campaign:
    """Return one campaign, and write it to Redis if that is there.

    Raises NotFoundError if it does not exist or may not be served.
    """
    with reading(plane) as session:
        documents = read_documents(psycopg_of(session), [campaign_id], datetime.now(UTC))
    serving = [document.campaign for document in documents if document.serving]
    if not serving:
        raise NotFoundError(f"no campaign {campaign_id} is serving")
    with suppress(StoreUnavailableError):
        plane.catalog.store(serving)
    return serving[0]


def creative_document(plane: ControlPlane, creative_id: int) -> Creative:
    """Return one creative whatever its status: an ad shown earlier can still be clicked.

    Raises NotFoundError.
    """
    with reading(plane) as session:
        creative = read_creative_document(psycopg_of(session), creative_id)
    if creative is None:
        raise NotFoundError(f"there is no creative {creative_id}")
    return creative


def check_postgres(plane: ControlPlane) -> None:
    """Return if PostgreSQL answers. Raises StoreUnavailableError."""
    with reading(plane) as session:
        session.connection().execute(text("SELECT 1"))
