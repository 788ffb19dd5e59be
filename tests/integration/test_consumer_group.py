from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

from adctl.config import KafkaSettings
from adctl.streams import topics
from adctl.streams.admin import KafkaAdmin
from adctl.streams.consumer import GroupConsumer

if TYPE_CHECKING:
    from adctl.stores.embedded.server import Server


def join(bootstrap: str) -> GroupConsumer:
    return GroupConsumer(bootstrap, "group", [topics.WINS], dict)


def wait_until_assigned(member: GroupConsumer) -> None:
    deadline = time.monotonic() + 25
    while not member.assigned:
        assert time.monotonic() < deadline, "nothing was assigned"
        member.poll(1, 0.1)


def test_member_that_leaves_while_it_is_joining_keeps_nobody_out(broker: Server) -> None:
    bootstrap = f"127.0.0.1:{broker.port}"
    KafkaAdmin(bootstrap, KafkaSettings()).ensure_topics()

    with join(bootstrap) as first:
        first.poll(1, 0.5)
        assert not first.assigned
    with join(bootstrap) as second:
        wait_until_assigned(second)


JOINER = """
import sys
from adctl.streams.consumer import GroupConsumer
consumer = GroupConsumer(sys.argv[1], "group", ["wins"], dict)
print("joining", flush=True)
while not consumer.assigned:
    consumer.poll(1, 0.05)
print("joined", flush=True)
"""


def test_member_that_is_killed_while_it_is_joining_keeps_nobody_out(broker: Server) -> None:
    bootstrap = f"127.0.0.1:{broker.port}"
    KafkaAdmin(bootstrap, KafkaSettings()).ensure_topics()
    joiner = subprocess.Popen([sys.executable, "-c", JOINER, bootstrap], stdout=subprocess.PIPE)
    assert joiner.stdout is not None
    assert joiner.stdout.readline() == b"joining\n"
    time.sleep(1)  # its request to join is on its way, or answered
    joiner.kill()
    # Apache Kafka may be done with it by then: that one has joined must not matter, either.
    assert joiner.communicate()[0] in (b"", b"joined\n")
    with join(bootstrap) as second:
        wait_until_assigned(second)
