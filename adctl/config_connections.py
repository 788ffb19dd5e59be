"""How many connections a daemon holds, and for how long those that ask nothing."""

from __future__ import annotations

from ipaddress import ip_network

from pydantic import Field, field_validator

from adctl.config_section import Section


class ConnectionSettings(Section):
    """``[connections]``: of each process that listens."""

    most: int = Field(default=4000, ge=16, le=60_000)
    per_address: int = Field(default=1000, ge=1, le=60_000)
    trusted_proxies: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    first_byte_sec: float = Field(default=5.0, gt=0, le=3600)

    @field_validator("trusted_proxies")
    @classmethod
    def _proxies_are_networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        try:
            for network in networks:
                ip_network(network)
        except ValueError as exc:
            raise ValueError(f"networks such as 10.1.0.0/16 ({exc})") from exc
        return networks
