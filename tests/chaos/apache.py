"""The product with Apache Kafka in the place of the embedded broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adctl.control.keeping import Kept
from tests.chaos.supervisor import ChaosSupervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from adctl.config import Settings
    from adctl.stores.embedded.server import Server


class ApacheSupervisor(ChaosSupervisor):
    """Keeps a broker that is none of the product's own, and starts it again as it was.

    ``settings`` name it as their broker. The embedded one stays there, and nobody knows of it.
    """

    def __init__(
        self,
        settings: Settings,
        environment: Mapping[str, str],
        notify: Callable[[str], None],
        broker: Server,
        twice: Collection[str] = (),
    ) -> None:
        super().__init__(settings, environment, notify, twice)
        self._broker = broker

    def _start_stores(self) -> None:
        self._broker.start(owned=True)
        super()._start_stores()
        self._stores["kafka"] = Kept(self._broker, self._broker.respawn)

    def stop(self) -> None:
        """End everything, the broker last."""
        super().stop()
        self._broker.stop()
