"""Settings of what becomes of events: conversions, and how long they are kept."""

from typing import Annotated

from pydantic import Field

from adctl.config_section import Section


class ConversionSettings(Section):
    """``[conversions]``."""

    click_window_sec: Annotated[int, Field(gt=0, le=7_776_000)] = 2_592_000
    view_window_sec: Annotated[int, Field(ge=0, le=7_776_000)] = 0

    @property
    def windows(self) -> tuple[int, int]:
        """How long after a click, and after a view, conversions count."""
        return self.click_window_sec, self.view_window_sec


class RetentionSettings(Section):
    """``[retention]``."""

    events_days: int = Field(default=0, ge=0)
    partitions_ahead_days: Annotated[int, Field(gt=0, le=30)] = 2
