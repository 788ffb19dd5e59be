"""``GET /campaigns/{id}/performance``: what a campaign delivered, as ``adctl report`` says it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
from sqlmodel import Session

from adctl.control import campaigns
from adctl.control.fields import FieldReader
from adctl.control.periods import parse_period
from adctl.control.reporting import By, performance
from adctl.stores.tables import psycopg_of, sql_errors

if TYPE_CHECKING:
    from falcon import Request, Response

    from adctl.control.plane import ControlPlane

PARAMETERS = ("since", "until", "timezone", "by")
BY = (By.DAY, By.HOUR, By.CREATIVE, By.EXCHANGE)


class Performance:
    """The rows of one campaign, by day unless asked otherwise."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane

    def on_get(self, req: Request, resp: Response, ref: int) -> None:
        """Answer with the period and its rows; money as decimal texts."""
        reader = FieldReader(dict(req.params))
        reader.only(PARAMETERS)
        by = reader.choice("by", [by.value for by in BY]) if "by" in reader.values else None
        since = reader.text("since") if "since" in reader.values else "7d"
        until = reader.text("until") if "until" in reader.values else None
        timezone = reader.text("timezone") if "timezone" in reader.values else "UTC"
        reader.raise_faults("the query")
        period = parse_period(since or "7d", until, timezone or "UTC", datetime.now(UTC))
        campaigns.show(self._plane, ref)
        with sql_errors("report performance"), Session(self._plane.engine) as session:
            rows = performance(psycopg_of(session), period, By(by or By.DAY), ref)
        resp.data = msgspec.json.encode(
            {
                "since": period.since,
                "until": period.until,
                "rows": [row.about | row.totals.fields() for row in rows],
            }
        )
