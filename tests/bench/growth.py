"""``python -m tests.bench.growth``: what grows with the data, and what must not.

Every statement and loop that a program runs by itself, on 1 M and 10 M events (and as many ledger
entries and what is made of them) of a year, and on 1,000 and 50,000 campaigns; then the limits that
have to hold. Exits with 1 if one does not. Some twenty gigabytes of disk are used, and given back.
"""

from __future__ import annotations

import argparse
import http.client
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import psycopg

from adctl.config import KafkaSettings, PostgresSettings, RedisSettings
from adctl.control.erasing import Forgetting
from adctl.demo.run import demo_environment
from adctl.stores.embedded.ports import free_port
from adctl.stores.postgres import open_pool
from adctl.stores.redis import connect
from adctl.stores.stream import event_streams
from adctl.streams.admin import KafkaAdmin
from adctl.streams.producer import ReliableProducer
from tests.bench import growth_campaigns, growth_statements, year
from tests.bench.stores import own_stores

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from adctl.stores.endpoints import Endpoints

EVENTS = (1_000_000, 10_000_000)
CAMPAIGNS = (1_000, 50_000)
LISTED = 10_000
COMMAND_MS = 5.0
OUTBOX_SEC = 20.0
FORGET_SEC = 2.0
LIST_SEC = 3.0
STOP_SEC = 2.0
READY_SEC = 30.0
# Caches hold more of the small than of the large, and what takes so long takes nobody's time.
_TOLERANCE = 3.0
_NO_TIME_MS = 25.0
_RUNS_SEC = 20.0
_PATIENCE_SEC = 60.0


class Limit(NamedTuple):
    """Something that has to hold, and what was measured."""

    what: str
    measured: str
    limit: str
    held: bool


def main() -> None:
    """Measure, print two tables and the limits."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.growth", description=__doc__)
    parser.add_argument("--events", default=",".join(map(str, EVENTS)), help="small,large")
    parser.add_argument("--campaigns", default=",".join(map(str, CAMPAIGNS)), help="small,large")
    parser.add_argument("--days", type=int, default=year.Size().days, help="of events")
    parser.add_argument(
        "--no-limits",
        action="store_true",
        help="exit with 0 whatever does not hold",
    )
    arguments = parser.parse_args()
    events, campaigns = _pair(arguments.events), _pair(arguments.campaigns)
    with own_stores() as (endpoints, folder):
        limits = list(measure(endpoints, folder, events, campaigns, arguments.days))
    tell("\n| limit | measured | at most | |\n| --- | ---: | ---: | --- |")
    for one in limits:
        tell(f"| {one.what} | {one.measured} | {one.limit} | {'held' if one.held else 'NOT'} |")
    sys.exit(not arguments.no_limits and not all(one.held for one in limits))


def measure(
    endpoints: Endpoints,
    folder: Path,
    events: tuple[int, int],
    campaigns: tuple[int, int],
    days: int,
) -> Iterator[Limit]:
    """Yield every limit, and print what grows on the way."""
    yield from _over_campaigns(endpoints, campaigns)
    yield _at_most(f"outbox of {LISTED:,} campaigns", _relay_outbox(endpoints), OUTBOX_SEC)
    yield from _over_events(endpoints, events, days)
    large = _url(endpoints, f"events_{events[1]}")
    took = _forget(endpoints, folder, large)
    yield _at_most(f"user forget over {events[1]:,} events", took, FORGET_SEC)
    environment = _environment(endpoints, folder, large)
    for output in ("table", "json"):
        took = _run(["campaign", "list", "--output", output], environment)
        yield _at_most(f"campaign list of {LISTED:,} ({output})", took, LIST_SEC)
    took = _consumer_ready(environment)
    yield _at_most(f"consumer ready on a new cluster, {events[1]:,} events", took, READY_SEC)
    yield _at_most("the pacer stops within", _pacer_stops(environment), STOP_SEC)


def _over_campaigns(endpoints: Endpoints, sizes: tuple[int, int]) -> Iterator[Limit]:
    found = [
        list(
            growth_campaigns.measure(
                _database(endpoints, f"campaigns_{size}"), endpoints.redis_url, size
            )
        )
        for size in sizes
    ]
    small, large = sizes
    tell(f"| over all campaigns | {small:,}, s | {large:,}, s | growth | slowest command | ms |")
    tell("| --- | ---: | ---: | ---: | --- | ---: |")
    for before, after in zip(*found, strict=True):
        growth = after.took_sec / before.took_sec
        tell(
            f"| {after.name} | {before.took_sec:.3f} | {after.took_sec:.2f} | {growth:.1f} "
            f"| {after.command or 'none over 0.5 ms'} | {after.command_ms:.1f} |"
        )
        held = growth <= large / small * _TOLERANCE or after.took_sec < 1
        if not held:
            yield Limit(after.name, f"x {growth:.0f}", f"x {large / small:.0f}", held)
    worst = max(found[1], key=lambda loop: loop.command_ms)
    what = f"single command of Redis at {large:,} campaigns ({worst.command})"
    yield _at_most(what, worst.command_ms, COMMAND_MS, "ms")


def _over_events(endpoints: Endpoints, sizes: tuple[int, int], days: int) -> Iterator[Limit]:
    found = []
    for size in sizes:
        url, began = _database(endpoints, f"events_{size}"), time.perf_counter()
        year.fill(url, year.Size(size, LISTED, days))
        tell(f"\nmade a year of {size:,} events in {time.perf_counter() - began:.0f} s\n")
        found.append(list(growth_statements.measure(url, days)))
    small, large = sizes
    tell(
        f"| of PostgreSQL | {small:,}, ms | {large:,}, ms | growth |\n| --- | ---: | ---: | ---: |"
    )
    for before, after in zip(*found, strict=True):
        growth = after.took_ms / before.took_ms
        tell(f"| {after.name} | {before.took_ms:.1f} | {after.took_ms:.1f} | {growth:.1f} |")
        changed = large / small if after.name in growth_statements.BY_EVENTS else 1.0
        if growth > changed * _TOLERANCE and after.took_ms > _NO_TIME_MS:
            yield Limit(after.name, f"x {growth:.1f}", f"x {changed:.0f}", held=False)


def _relay_outbox(endpoints: Endpoints) -> float:
    kafka = KafkaSettings(bootstrap=endpoints.kafka_bootstrap)
    KafkaAdmin(kafka.bootstrap, kafka).ensure_topics()
    producer = ReliableProducer(kafka.bootstrap, kafka.topic_prefix)
    try:
        url = _database(endpoints, "outbox")
        return growth_campaigns.outbox_sec(url, endpoints.redis_url, LISTED, producer.send)
    finally:
        producer.close()


def _forget(endpoints: Endpoints, folder: Path, postgres_url: str) -> float:
    with psycopg.connect(postgres_url) as conn:
        row = conn.execute(
            "SELECT user_hash FROM event WHERE event_date = current_date - 7 LIMIT 1"
        ).fetchone()
    if row is None:
        raise SystemExit("there is no event of a week ago")
    with (
        connect(endpoints.redis_url, RedisSettings()) as client,
        open_pool(postgres_url, PostgresSettings()) as pool,
    ):
        # Without a flusher: what is on its way is not what grows.
        forgetting = Forgetting(pool, client, event_streams(client, 1), folder, lambda: None)
        began = time.perf_counter()
        receipt = forgetting.forget(row[0], "bench")
        took = time.perf_counter() - began
    tell(f"\nforgot a user of {receipt.events:,} events")
    return took


def _consumer_ready(environment: Mapping[str, str]) -> float:
    port = free_port("127.0.0.1")
    began = time.perf_counter()
    with _daemon("consumer", {**environment, "ADCTL_CONSUMER_PORT": str(port)}) as consumer:
        while not _is_ready(port):
            if consumer.poll() is not None:
                raise SystemExit(f"the consumer has ended by itself: {consumer.returncode}")
            if time.perf_counter() - began > _PATIENCE_SEC:
                break
            time.sleep(0.1)
        took = time.perf_counter() - began
        consumer.terminate()
        consumer.wait(_PATIENCE_SEC)
    return took


def _is_ready(port: int) -> bool:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        client.request("GET", "/health/ready")
        return client.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        client.close()


def _pacer_stops(environment: Mapping[str, str]) -> float:
    """Return how long a pacer at work takes to end after SIGTERM."""
    with _daemon("pacer", environment) as pacer:
        time.sleep(_RUNS_SEC)
        if pacer.poll() is not None:
            raise SystemExit(f"the pacer has ended by itself: {pacer.returncode}")
        began = time.perf_counter()
        pacer.terminate()
        pacer.wait(_PATIENCE_SEC)
        return time.perf_counter() - began


@contextmanager
def _daemon(name: str, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-m", f"daemons.{name}"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _run(words: Sequence[str], environment: Mapping[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "adctl", *words],
        env=environment,
        stdout=subprocess.DEVNULL,
        check=True,
        timeout=_PATIENCE_SEC,
    )
    return time.perf_counter() - began


def _environment(endpoints: Endpoints, folder: Path, postgres_url: str) -> dict[str, str]:
    return {
        **demo_environment(os.environ, folder),
        "ADCTL_POSTGRES_URL": postgres_url,
        "ADCTL_REDIS_URL": endpoints.redis_url,
        "ADCTL_KAFKA_BOOTSTRAP": endpoints.kafka_bootstrap,
    }


def _url(endpoints: Endpoints, name: str) -> str:
    return f"{endpoints.postgres_url.removesuffix('/adctl')}/{name}"


def _database(endpoints: Endpoints, name: str) -> str:
    """Make a database; where it is."""
    with psycopg.connect(endpoints.postgres_url, autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name}")
    return _url(endpoints, name)


def _at_most(what: str, measured: float, limit: float, unit: str = "s") -> Limit:
    return Limit(what, f"{measured:.2f} {unit}", f"{limit:g} {unit}", measured <= limit)


def _pair(text: str) -> tuple[int, int]:
    small, large = map(int, text.split(","))
    return small, large


def tell(line: str) -> None:
    """Print at once: all of it takes a quarter of an hour."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
