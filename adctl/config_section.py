"""What every table of config.toml is."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A table of config.toml: frozen, and an unknown key in it is a fault."""

    model_config = ConfigDict(frozen=True, extra="forbid")
