from __future__ import annotations

import time
from typing import TYPE_CHECKING

from adctl.config import KafkaSettings
from adctl.streams import topics
from adctl.streams.admin import KafkaAdmin
from adctl.streams.consumer import GroupConsumer

if TYPE_CHECKING:
    from adctl.stores.embedded.server import Server


def test_member_that_leaves_while_it_is_joining_keeps_nobody_out(broker: Server) -> None:
    bootstrap = f"127.0.0.1:{broker.port}"
    KafkaAdmin(bootstrap, KafkaSettings()).ensure_topics()

    def join() -> GroupConsumer:
        return GroupConsumer(bootstrap, "group", [topics.WINS], dict)

    with join() as first:
        first.poll(1, 0.5)
        assert not first.assigned
    with join() as second:
        deadline = time.monotonic() + 20
        while not second.assigned:
            assert time.monotonic() < deadline, "nothing was assigned"
            second.poll(1, 0.1)
