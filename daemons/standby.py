"""How a worker tells its parent that it could serve, while another one still does."""

from __future__ import annotations

import os
import select
import time
from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    import threading

_LOOK_SEC = 0.1


class Standby(NamedTuple):
    """Made by the parent before it forks: a pipe, or nothing where nobody serves the slot yet."""

    told: int = -1
    tells: int = -1

    @classmethod
    def after_another(cls) -> Self:
        """Return one for a worker that takes the place of another."""
        return cls(*os.pipe())

    @property
    def succeeds(self) -> bool:
        """Whether another worker serves the slot until this one is ready."""
        return self.tells >= 0

    def ready(self) -> None:
        """Tell the parent that the other one may go. In the worker, once."""
        if self.succeeds:
            os.write(self.tells, b"r")

    def wait(self, most_sec: float, stop: threading.Event) -> bool:
        """Return whether the worker is ready; False if it died, or in that time was not.

        In the parent, once, after the fork.
        """
        if not self.succeeds:
            return True
        os.close(self.tells)
        try:
            deadline = time.monotonic() + most_sec
            while time.monotonic() < deadline and not stop.is_set():
                if select.select([self.told], [], [], _LOOK_SEC)[0]:
                    return os.read(self.told, 1) == b"r"
            return False
        finally:
            os.close(self.told)


FIRST = Standby()
"""A worker's that takes nobody's place."""
