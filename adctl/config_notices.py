"""When operators are told of what campaigns do, and how webhooks are sent."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated

from pydantic import Field, field_validator

from adctl.config_section import Section

Percent = Annotated[int, Field(ge=1, le=100)]


class AlarmSettings(Section):
    """``[alarms]``."""

    budget_percents: tuple[Percent, ...] = (50, 80, 100)
    pacing_percent: int = Field(default=25, ge=0, le=100)
    pacing_minutes: int = Field(default=30, ge=0, le=1440)
    prices_percent: int = Field(default=20, ge=0, le=100)
    prices_least: int = Field(default=20, ge=1)


class WebhookSettings(Section):
    """``[webhooks]``."""

    timeout_sec: float = Field(default=10, gt=0, le=60)
    retry_hours: float = Field(default=24, gt=0, le=24 * 7)
    keep_days: int = Field(default=30, ge=1, le=3650)
    networks: tuple[str, ...] = ()

    @field_validator("networks")
    @classmethod
    def _networks_are_such(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        try:
            for network in networks:
                ip_network(network)
        except ValueError:
            expected = "networks such as 10.1.0.0/16, without bits set behind their length"
            raise ValueError(expected) from None
        return networks
