"""Whether Redis still has what trackers gave it, and how far PostgreSQL is: a look at a shard."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from adctl.errors import StoreUnavailableError
from adctl.stores import keys
from adctl.stores.redis import Script
from adctl.stores.stream import id_order

if TYPE_CHECKING:
    from collections.abc import Iterable

    from adctl.stores.event_intake import RunScripts
    from adctl.stores.redis import ScriptCall


class Look(NamedTuple):
    """A shard at one moment: ``generation`` is empty where none was confirmed."""

    generation: str
    run_id: str
    flushed_id: str
    last_id: str

    @property
    def memory(self) -> tuple[str, str]:
        """The same for as long as the shard has forgotten nothing."""
        return self.generation, self.run_id

    @property
    def confirmed(self) -> bool:
        """Whether the pacer has found this server right, and has not found it wrong since."""
        return bool(self.run_id) and self.generation.endswith(f" {self.run_id}")

    @property
    def ordered(self) -> bool:
        """Whether ids go on behind what PostgreSQL has; else the stream is renumbered first."""
        return id_order(self.last_id) >= id_order(self.flushed_id)


class StreamLooks:
    """Looks at shards, all in one round trip."""

    def __init__(self, scripts: RunScripts) -> None:
        self._scripts = scripts
        self._look = Script("look_at_stream")

    def at(self, shards: Iterable[int]) -> dict[int, Look]:
        """Return a look at each of ``shards`` that answers."""
        asked = list(shards)
        if not asked:
            return {}
        calls: list[ScriptCall] = [
            (self._look, [keys.generation(shard), keys.flushed(shard), keys.events(shard)], [])
            for shard in asked
        ]
        told = zip(asked, self._scripts.run_all(calls), strict=True)
        return {
            shard: Look(*reply)
            for shard, reply in told
            if not isinstance(reply, StoreUnavailableError)
        }
