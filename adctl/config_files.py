"""Reading the configuration's files."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

from pydantic_settings import TomlConfigSettingsSource

from adctl.config_faults import toml_fault
from adctl.errors import ConfigError, Fault
from adctl.text_files import read_toml

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.resources.abc import Traversable
    from pathlib import Path


class TomlSource(TomlConfigSettingsSource):
    """The files of a configuration, with or without a byte order mark."""

    def _read_file(self, file_path: Path | Traversable) -> dict[str, Any]:
        return read_toml(file_path)


def require_readable(files: Sequence[Path]) -> None:
    """Raise ConfigError naming every file that cannot be read as TOML."""
    faults = []
    for file in files:
        try:
            read_toml(file)
        except OSError as exc:
            faults.append(Fault("--config", str(file), f"a readable file ({exc.strerror})"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
            faults.append(Fault("--config", str(file), toml_fault(exc)))
    if faults:
        raise ConfigError("configuration", faults)
