"""SIGHUP: a tracker that takes another configuration hands its spool over."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import psutil

from tests.integration.tracker.street import Street, eventually

if TYPE_CHECKING:
    from adctl.control.daemon_process import DaemonProcess
    from adctl.stores.embedded.server import Server


def test_events_on_disk_outlive_a_reload_and_those_told_meanwhile_are_answered(
    own_valkey: Server, tracker: DaemonProcess, street: Street
) -> None:
    [before] = psutil.Process(tracker.pid).children()
    bids = [street.bid() for _ in range(4)]
    own_valkey.stop()
    try:
        told = [street.tell(bid, "impression").status for bid in bids[:2]]
        os.kill(tracker.pid, signal.SIGHUP)
        eventually(lambda: before not in psutil.Process(tracker.pid).children())
        street.connection.close()
        told += [street.tell(bid, "impression").status for bid in bids[2:]]
        assert told == [200] * 4
    finally:
        own_valkey.start(owned=True)
    eventually(lambda: len(street.events) == 4)
    assert [event.bid_id for event in street.events] == [bid.bid_id for bid in bids]
