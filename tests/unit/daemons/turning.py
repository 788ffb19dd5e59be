"""Turns with a connection that notes what is sent and read."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from adctl.errors import StoreUnavailableError
from adctl.stores.round_trip import RoundTrips
from daemons.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Connection:
    """Answers GET with the key's name, and notes what was sent together, and what then happened."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.log: list[str] = []
        self.away = False
        self.fails_after = 1_000
        self.fails_reading = ""

    def begin(self, commands: Sequence[Any]) -> Callable[[], list[Any]]:
        self.sizes.append(len(commands))
        names = [command[1] for command in commands]
        self.log.append(f"sent {' '.join(names)}")
        if self.away or len(self.sizes) > self.fails_after:
            raise StoreUnavailableError("away")
        return lambda: self._received(names)

    def _received(self, names: list[str]) -> list[Any]:
        self.log.append(f"read {' '.join(names)}")
        if "lost" in names or self.fails_reading in names:
            raise StoreUnavailableError("lost")
        return names


class Task:
    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work
        self.result: object = None
        self.cancelled = False

    def begin(self) -> None:
        """Go the long way."""

    def service(self) -> None:
        self.result = self._work()

    def cancel(self) -> None:
        self.cancelled = True


class Room:
    def __init__(self, *, ahead: bool = False) -> None:
        self.connection = Connection()
        self.trips = RoundTrips(self.connection)  # type: ignore[arg-type]
        self.meanwhile: list[int] = []
        self.turns = Turns(
            self.trips,
            ask=self.ask,
            meanwhile=self.do_meanwhile,
            ahead=self.trips if ahead else None,
        )

    def do_meanwhile(self) -> None:
        self.meanwhile.append(len(self.connection.log))

    def ask(self, vote: Any, resume: Callable[[Any], object]) -> None:
        """Have a letter answered with itself."""
        if not vote.isalpha():
            raise StoreUnavailableError("not a vote")
        self.trips.run_for(SimpleNamespace(sha=vote, source="", name="vote"), [], [], resume)  # type: ignore[arg-type]

    def add(self, work: Callable[[], object]) -> Task:
        task = Task(work)
        self.turns.add_task(task)
        return task
