"""What every command can ask of its invocation: the settings in force."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import typer

from adctl.config import Settings, load_settings


@dataclass
class Invocation:
    """One run of the CLI: its global options, and the settings they lead to."""

    config_path: Path | None = None

    @cached_property
    def settings(self) -> Settings:
        """Load the settings when first asked for, so that ``--help`` works with a broken file."""
        return load_settings(self.config_path)


def invocation_of(ctx: typer.Context) -> Invocation:
    """Return the run that the command of ``ctx`` belongs to."""
    return ctx.find_root().ensure_object(Invocation)


def settings_of(ctx: typer.Context) -> Settings:
    """Return the settings in force. Raises ConfigError with every fault in them."""
    return invocation_of(ctx).settings
