"""A disk that fills under each store: clear errors, nothing acknowledged is lost, and it heals."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import psycopg
import pytest

from adctl.config import PostgresSettings, RedisSettings
from adctl.control.flushing import Flusher
from adctl.delivery.macros import ToldMacros
from adctl.delivery.tokens import BidToken
from adctl.delivery.tracking import track
from adctl.errors import StoreUnavailableError
from adctl.models import Event, EventKind
from adctl.stores import keys
from adctl.stores.embedded.ports import free_port
from adctl.stores.embedded.postgres import Postgres
from adctl.stores.embedded.server import Server
from adctl.stores.embedded.state import ServerRecord
from adctl.stores.embedded.valkey import Valkey
from adctl.stores.event_intake import EventIntake
from adctl.stores.migrations import migrate
from adctl.stores.postgres import open_pool
from adctl.stores.redis import connect
from adctl.stores.round_trip import HotConnection, RoundTrips
from adctl.stores.spool import Spool
from daemons.tracker.sink import SpoolingSink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from adctl.delivery.tracking import TrackedEvent
    from adctl.stores.stream import EventStream

MIB = 1 << 20


class SmallDisk:
    """A file system of a few megabytes, to be filled and freed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self, left: int = 0) -> None:
        """Take all room but ``left`` bytes."""
        room = shutil.disk_usage(self.folder).free - left
        with self._ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, room)

    def free(self) -> None:
        self._ballast.unlink()


@pytest.fixture
def make_disk() -> Iterator[Callable[[int], SmallDisk]]:
    """Mount a disk of so many bytes; where that is not allowed the test cannot be."""
    mounted: list[Path] = []

    def make(size: int) -> SmallDisk:
        folder = Path(tempfile.mkdtemp(prefix="adctl-disk-"))
        options = f"size={size},mode=0711"
        mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        try:
            subprocess.run(mount, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as exc:
            folder.rmdir()
            if os.environ.get("CI"):
                raise
            pytest.skip(f"no file system can be mounted here: {exc}")
        mounted.append(folder)
        return SmallDisk(folder)

    yield make
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        folder.rmdir()


def event(number: int) -> TrackedEvent:
    now_ms = time.time_ns() // 1_000_000
    token = BidToken(f"{number:024x}", 1, 2, "default", 2_000_000, now_ms, now_ms // 60_000)
    return track(token, EventKind.IMPRESSION, EventKind.IMPRESSION, ToldMacros("1.5"), now_ms)


def take(sink: SpoolingSink, numbers: range) -> tuple[list[str], dict[str, str]]:
    """Tell events; return the bids that were acknowledged, and why others were not."""
    acknowledged, refused = [], {}
    for number in numbers:
        tracked = event(number)
        try:
            sink.take(tracked)
            acknowledged.append(tracked.event.bid_id)
        except StoreUnavailableError as exc:
            refused[tracked.event.bid_id] = str(exc)
    return acknowledged, refused


def test_valkey_refuses_while_its_disk_is_full_and_heals_by_itself(
    make_disk: Callable[[int], SmallDisk], tmp_path: Path
) -> None:
    disk = make_disk(16 * MIB)
    record = ServerRecord(port=free_port("127.0.0.1"), password="of-no-consequence")
    server = Server(Valkey(disk.folder, "127.0.0.1", record), disk.folder, record, lambda: None)
    server.start(owned=True)
    url = f"redis://:{record.password}@127.0.0.1:{record.port}/0"
    connection = HotConnection(url, 500)
    spool = Spool(tmp_path, "tracker-0", 8 * MIB)
    round_trips = RoundTrips(connection)
    sink = SpoolingSink(EventIntake(round_trips, 120, 86_400), spool)
    try:
        before, _ = take(sink, range(50))
        disk.fill()
        during, refused = take(sink, range(50, 2000))
        assert not spool.empty, "the full disk was never noticed"
        assert not refused
        with pytest.raises(StoreUnavailableError, match=r"MISCONF|failed a moment ago"):
            sink._intake.take(event(10**6))
        disk.free()
        deadline = time.monotonic() + 15
        while not spool.empty:
            assert time.monotonic() < deadline, "it did not heal"
            sink.replay()
            time.sleep(0.01)
        server.respawn()
        with connect(url, RedisSettings()) as client:
            entries = client.xrange(keys.events(0))
        held = [msgspec.json.decode(of["e"], type=Event).bid_id for _, of in entries]
        assert sorted(held) == sorted([*before, *during])
    finally:
        connection.close()
        spool.close()
        server.stop()


class Away:
    """A Redis that is not there, until it is."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.back = False

    def take(self, tracked: TrackedEvent) -> str:
        if not self.back:
            raise StoreUnavailableError("away")
        self.taken.append(tracked.event.bid_id)
        return "taken"

    def take_all(self, events: list[TrackedEvent]) -> list[str]:
        return [self.take(tracked) for tracked in events]


def test_spool_on_a_full_disk_acknowledges_nothing_that_it_cannot_keep(
    make_disk: Callable[[int], SmallDisk],
) -> None:
    disk = make_disk(2 * MIB)
    spool = Spool(disk.folder / "spool", "tracker-0", 64 * MIB)
    redis = Away()
    sink = SpoolingSink(redis, spool)  # type: ignore[arg-type]
    before, none = take(sink, range(100))
    assert not none
    disk.fill(left=64 << 10)
    during, refused = take(sink, range(100, 2000))
    assert refused
    assert all("No space left on device" in why for why in refused.values())
    with pytest.raises(StoreUnavailableError, match="cannot be written"):
        sink.check(lambda: None)
    disk.free()
    after, none = take(sink, range(2000, 2100))
    assert not none
    sink.check(lambda: None)
    spool.close()

    # The next process finds all of it.
    spool, redis.back = Spool(disk.folder / "spool", "tracker-0", 64 * MIB), True
    sink = SpoolingSink(redis, spool)  # type: ignore[arg-type]
    while not spool.empty:
        sink.replay()
    assert redis.taken == [*before, *during, *after]
    spool.close()


def flood(flusher: Flusher, append: Callable[..., None], make_event: Callable[..., Event]) -> None:
    for batch in range(400):
        append(*(make_event(f"b{batch}-{number}") for number in range(100)))
        flusher.drain(100)


def drain_again(flusher: Flusher) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            flusher.drain(100)
        except StoreUnavailableError:
            assert time.monotonic() < deadline, "it did not come back"
            time.sleep(0.2)
        else:
            return


def test_postgresql_on_a_full_disk_stores_nothing_by_half_and_goes_on_when_there_is_room(
    make_disk: Callable[[int], SmallDisk],
    stream: EventStream,
    append: Callable[..., None],
    make_event: Callable[..., Event],
) -> None:
    disk = make_disk(160 * MIB)
    record = ServerRecord(port=free_port("127.0.0.1"), password="of-no-consequence")
    server = Server(Postgres(disk.folder, "127.0.0.1", record), disk.folder, record, lambda: None)
    server.start(owned=True)
    url = f"postgresql://adctl:{record.password}@127.0.0.1:{record.port}/adctl"
    settings = PostgresSettings(pool_size=2, connect_timeout_sec=1)
    try:
        migrate(url)
        with open_pool(url, settings) as pool:
            flusher = Flusher(pool, stream)
            append(*(make_event(f"a{number}") for number in range(50)))
            flusher.drain(100)
            disk.fill()
            with pytest.raises(StoreUnavailableError, match="PostgreSQL: could not flush events"):
                flood(flusher, append, make_event)
            disk.free()
            if not server.alive():  # what a supervisor does
                server.respawn()
            drain_again(flusher)
        with psycopg.connect(url) as conn:
            query = "SELECT count(*), count(DISTINCT event_id), sum(cost_nanos) FROM event"
            booked = "SELECT sum(amount_nanos) FROM ledger_entry WHERE account = 'campaign'"
            count, ids, cost = conn.execute(query).fetchone() or ()
            assert count == ids == stream.length()
            assert conn.execute(booked).fetchone() == (cost,)
    finally:
        server.stop()
