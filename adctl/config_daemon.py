"""Where a daemon listens, and by which names the api may be reached."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, field_validator

from adctl.config_section import Section

Port = Annotated[int, Field(ge=0, le=65535)]

_EVERY_ADDRESS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - not bound here
_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")


class DaemonSettings(Section):
    """What every daemon has: where it listens. Port 0 takes a free one."""

    host: str = "127.0.0.1"
    port: Port = 0

    @property
    def reached_at(self) -> str:
        """The address to call: ``host``, or this machine's own where it listens on all of them."""
        return _EVERY_ADDRESS.get(self.host, self.host)


class ApiSettings(DaemonSettings):
    """``[api]``."""

    port: Port = 8082
    threads: Annotated[int, Field(gt=0)] = 8
    hosts: tuple[str, ...] = ()

    @field_validator("hosts")
    @classmethod
    def _hosts_are_names(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        if not all(_NAME.fullmatch(host) for host in hosts):
            raise ValueError(
                "names or addresses such as api.example.com, without a scheme and without a port"
            )
        return hosts
