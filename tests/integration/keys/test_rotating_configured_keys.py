"""Keys of the configuration, rotated under load, in every order in which hosts reload."""

from __future__ import annotations

import time
from itertools import permutations, product
from typing import TYPE_CHECKING

import pytest

from tests.integration.keys.conftest import eventually, start_hosts
from tests.integration.keys.traffic import flowing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from adctl.control.daemon_process import DaemonProcess
    from tests.integration.keys.conftest import Estate
    from tests.integration.keys.traffic import Traffic

_ORDERS = list(permutations(("tracker-1", "tracker-2", "bidder")))
_BEAT_SEC = 2.5


def key(number: int) -> str:
    return f"{number}:{number:064x}"


@pytest.fixture(scope="module")
def hosts(estate: Estate, start_daemon: Callable[..., DaemonProcess]) -> Estate:
    (estate.folder / "secrets").mkdir()
    start_hosts(estate, start_daemon, f'keys = "{key(1)}"')
    return estate


@pytest.fixture(scope="module")
def numbers() -> Iterator[int]:
    """The ids of keys, one after the other: the hosts stay what the test before left them."""
    return iter(range(1, 200))


class Rotation:
    """From one key to the next."""

    def __init__(self, hosts: Estate, numbers: Iterator[int]) -> None:
        self.hosts = hosts
        self.old = next(numbers)
        self.new = self.old + 1

    def reload(self, order: tuple[str, ...], signing: str) -> None:
        for name in order:
            self.hosts.hosts[name].configure(signing)
            self.hosts.hosts[name].reload()

    def is_through(self) -> bool:
        return all(one.signs_with == self.new for one in self.hosts.holders())


@pytest.fixture
def rotation(hosts: Estate, numbers: Iterator[int]) -> Rotation:
    return Rotation(hosts, numbers)


def assert_nothing_refused(rotation: Rotation, traffic: Traffic) -> None:
    assert traffic.refused == []
    assert traffic.unbid == 0
    assert traffic.keys == {rotation.old, rotation.new}
    assert traffic.told.count("conversion") > 20


@pytest.mark.parametrize("order", _ORDERS, ids=" ".join)
def test_a_new_key_put_first_signs_nothing_before_every_tracker_knows_it(
    rotation: Rotation, order: tuple[str, ...]
) -> None:
    hosts = rotation.hosts
    before = hosts.impressions()
    with flowing(hosts.hosts["bidder"].port, hosts.trackers) as traffic:
        rotation.reload(order, f'keys = "{key(rotation.new)},{key(rotation.old)}"')
        eventually(rotation.is_through)
        time.sleep(_BEAT_SEC)
    assert_nothing_refused(rotation, traffic)
    assert len(hosts.impressions() - before) == traffic.told.count("impression")


@pytest.mark.parametrize(
    "orders", [(a, b) for a, b in product(_ORDERS, _ORDERS) if a[0] != b[0]][::5], ids=str
)
def test_rotating_by_the_book_refuses_nothing_in_whatever_order_hosts_reload(
    rotation: Rotation, orders: tuple[tuple[str, ...], tuple[str, ...]]
) -> None:
    hosts, old, new = rotation.hosts, rotation.old, rotation.new
    added, promoted = orders
    text = f'keys = "{key(old)},{key(new)}"'
    with flowing(hosts.hosts["bidder"].port, hosts.trackers) as traffic:
        rotation.reload(added, f"{text}\nsigns_with = {old}")
        time.sleep(_BEAT_SEC)
        assert traffic.keys == {old}
        rotation.reload(promoted, f"{text}\nsigns_with = {new}")
        eventually(rotation.is_through)
        time.sleep(_BEAT_SEC)
    assert_nothing_refused(rotation, traffic)
