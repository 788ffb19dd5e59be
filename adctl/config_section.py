"""What every table of config.toml is."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A table of config.toml: frozen, and an unknown key in it is a fault."""

    # What pydantic says of an error repeats the whole table, secrets included, unless told not to.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class KeyFaultError(ValueError):
    """A fault that shows only between keys, told of the one to change.

    ``key`` is relative to the table that is looked at; ``str()`` is what would be right.
    """

    def __init__(self, key: str, value: object, expected: str) -> None:
        self.key = key
        self.value = value
        super().__init__(expected)
