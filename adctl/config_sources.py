"""Where each setting in force comes from."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, SecretStr

from adctl.config import Settings, chosen_file
from adctl.config_faults import HIDDEN
from adctl.text_files import read_toml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

# Read by the program, but no keys of the configuration.
_OTHER_VARIABLES = {"ADCTL_ACTOR", "ADCTL_CONFIG", "ADCTL_DEBUG", "ADCTL_LOG_FILE"}


@dataclass(frozen=True)
class SettingInForce:
    """One key: its value (secrets hidden), who set it, and the variable that would."""

    key: str
    value: object
    source: str
    variable: str


def settings_in_force(settings: Settings, path: Path | None = None) -> list[SettingInForce]:
    """Return every key of ``settings``, which load_settings made from ``path``."""
    file = chosen_file(path)
    table = read_toml(file) if file else {}
    found = []
    for keys, value in _leaves(settings):
        variable = _variable(keys)
        if _is_set(variable, keys):
            source = "environment"
        elif file and _has(table, keys):
            source = str(file)
        else:
            source = "default"
        found.append(SettingInForce(".".join(keys), value, source, variable))
    return found


def unknown_variables() -> list[str]:
    """Return the ADCTL_ variables of the environment that no setting reads."""
    sections = {name.upper() for name in Settings.model_fields}
    return sorted(
        name
        for name in os.environ
        if name.startswith("ADCTL_")
        and name not in _OTHER_VARIABLES
        and name.removeprefix("ADCTL_") not in sections
        and name.removeprefix("ADCTL_").split("_")[0] not in sections
    )


def _leaves(model: BaseModel, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name in type(model).model_fields:
        yield from _leaf((*above, name), getattr(model, name))


def _leaf(keys: tuple[str, ...], value: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, BaseModel):
        yield from _leaves(value, keys)
    elif isinstance(value, dict):
        for name, member in value.items():
            yield from _leaf((*keys, name), member)
    elif isinstance(value, SecretStr):
        yield keys, HIDDEN if value.get_secret_value() else ""
    else:
        yield keys, value if isinstance(value, (bool, int, float)) else str(value)


def _variable(keys: tuple[str, ...]) -> str:
    # Only one level is split by names; tables of tables come as JSON.
    return "ADCTL_" + "_".join(keys if len(keys) <= 2 else keys[:-2]).upper()


def _is_set(variable: str, keys: tuple[str, ...]) -> bool:
    names = {name.upper() for name in os.environ}
    return variable in names or f"ADCTL_{keys[0]}".upper() in names


def _has(table: Mapping[str, Any], keys: tuple[str, ...]) -> bool:
    for key in keys:
        if not isinstance(table, dict) or key not in table:
            return False
        table = table[key]
    return True
