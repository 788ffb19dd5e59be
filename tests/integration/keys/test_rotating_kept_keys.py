"""Keys of a folder that hosts share, rotated by the commands while events flow."""

from __future__ import annotations

import http.client
import os
import signal
import time
from itertools import permutations
from typing import TYPE_CHECKING

import psutil
import pytest

from adctl.config import load_settings
from adctl.delivery.advertiser_keys import AdvertiserKeys, older_key_of
from adctl.stores.key_holders import KeyHolders
from adctl.stores.secrets import load_signing
from tests.integration.keys.conftest import WORKERS, eventually, start_hosts
from tests.integration.keys.traffic import flowing

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg

    from adctl.control.daemon_process import DaemonProcess
    from tests.integration.keys.conftest import Estate

_ORDERS = [(), *permutations(("tracker-1", "tracker-2", "bidder"))]


@pytest.fixture(scope="module")
def running(estate: Estate, start_daemon: Callable[..., DaemonProcess]) -> Estate:
    load_signing(load_settings(overrides={"state_dir": estate.folder}))
    start_hosts(estate, start_daemon)
    return estate


@pytest.fixture
def hosts(running: Estate, postgres: psycopg.Connection) -> Estate:
    return running


def signing_keys(hosts: Estate) -> set[int]:
    return {one.signs_with for one in hosts.holders()}


@pytest.mark.parametrize("order", _ORDERS, ids=lambda order: " ".join(order) or "no reload")
def test_a_rotation_by_commands_refuses_nothing_in_whatever_order_hosts_reload(
    hosts: Estate, order: tuple[str, ...]
) -> None:
    [old] = signing_keys(hosts)
    before = hosts.impressions()
    with flowing(hosts.hosts["bidder"].port, hosts.trackers) as traffic:
        new = int(hosts.done("key add"))
        if order:
            hosts.hosts[order[0]].reload()
        eventually(lambda: hosts.adctl(f"key promote {new}").exit_code == 0)
        for name in order[1:]:
            hosts.hosts[name].reload()
        eventually(lambda: signing_keys(hosts) == {new})
        time.sleep(1)
    assert traffic.refused == []
    assert traffic.unbid == 0
    assert traffic.keys == {old, new}
    assert traffic.told.count("conversion") > 20
    assert len(hosts.impressions() - before) == traffic.told.count("impression")


def test_a_key_is_not_promoted_before_every_worker_has_read_it(hosts: Estate) -> None:
    # Stopped, it reads and tells nothing; what it told last still counts.
    slow = psutil.Process(hosts.hosts["tracker-2"].process.pid).children()[0]
    slow.suspend()
    try:
        new = hosts.done("key add")
        eventually(lambda: sum(int(new) in one.holds for one in hosts.holders()) == 3 * WORKERS - 1)
        refused = hosts.adctl(f"key promote {new}")
        assert refused.exit_code == 6
        assert f":{hosts.hosts['tracker-2'].port} (worker " in refused.stderr
        assert f"pid {slow.pid})" in refused.stderr
        assert f":{hosts.hosts['tracker-1'].port}" not in refused.stderr
    finally:
        slow.resume()
    eventually(lambda: hosts.adctl(f"key promote {new}").exit_code == 0)
    eventually(lambda: signing_keys(hosts) == {int(new)})


def test_a_worker_that_is_killed_is_not_waited_for(hosts: Estate) -> None:
    [killed, *_] = psutil.Process(hosts.hosts["tracker-1"].process.pid).children()
    os.kill(killed.pid, signal.SIGKILL)
    new = hosts.done("key add")
    eventually(lambda: hosts.adctl(f"key promote {new}").exit_code == 0)
    eventually(lambda: signing_keys(hosts) - {int(new)} <= {int(new) - 1})


def test_a_daemon_that_ends_is_not_waited_for(
    hosts: Estate, start_daemon: Callable[..., DaemonProcess]
) -> None:
    more = start_daemon(
        "tracker",
        ADCTL_REDIS_URL=hosts.env["ADCTL_REDIS_URL"],
        ADCTL_SIGNING_KEYS=f"250:{'ab' * 32}",
    )
    new = hosts.done("key add")
    refused = hosts.adctl(f"key promote {new}")
    assert f":{more.port} (worker 0" in refused.stderr
    more.stop()
    eventually(lambda: hosts.adctl(f"key promote {new}").exit_code == 0)


def test_a_retired_pixel_is_refused_and_one_of_a_retired_signing_keys_day_counts(
    hosts: Estate,
) -> None:
    user_key = load_signing(load_settings(overrides={"state_dir": hosts.folder})).user_key
    pixels = AdvertiserKeys(user_key)
    hosts.done("advertiser create --name Acme")
    assert tell(hosts, pixels.key_of(1)) == 200
    hosts.done("key add --advertiser Acme")
    hosts.done("key promote 1.p2")
    assert [tell(hosts, pixels.key_of(1, n)) for n in (1, 2)] == [200, 200]
    eventually(lambda: hosts.adctl("key retire 1.p1 --yes").exit_code == 6)
    hosts.done("key retire 1.p1 --yes --force")
    eventually(lambda: tell(hosts, pixels.key_of(1)) == 400)
    assert tell(hosts, pixels.key_of(1, 2)) == 200


def test_a_pixel_of_the_older_way_counts_and_its_use_is_told(hosts: Estate) -> None:
    keys = load_signing(load_settings(overrides={"state_dir": hosts.folder})).keys
    key_id = next(iter(keys))
    assert tell(hosts, older_key_of(key_id, keys[key_id], 7)) == 200
    name = f"7.{key_id}"
    holders = KeyHolders(hosts.redis)
    eventually(lambda: name in {use.name for use in holders.uses_since(0)})


def tell(hosts: Estate, key: str) -> int:
    """Tell a tracker of an advertiser's conversion; the status."""
    connection = http.client.HTTPConnection("127.0.0.1", hosts.trackers[0], timeout=10)
    try:
        order = f"o-{time.monotonic_ns()}"
        connection.request("GET", f"/track/conversion?k={key}&u=visitor-17&o={order}")
        return connection.getresponse().status
    finally:
        connection.close()
