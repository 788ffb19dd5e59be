"""When operators are told of what campaigns do, and how webhooks are sent."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from adctl.config_section import Section

Percent = Annotated[int, Field(ge=1, le=100)]


class AlarmSettings(Section):
    """``[alarms]``."""

    budget_percents: tuple[Percent, ...] = (50, 80, 100)
    pacing_percent: int = Field(default=25, ge=0, le=100)
    pacing_minutes: int = Field(default=30, ge=0, le=1440)
