"""The decision's round trip to a real Valkey: alone, and sixteen in one write."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

from adctl.stores.auction_ledger import RedisLedger
from adctl.stores.redis import Script
from adctl.stores.round_trip import HotConnection
from tests.bench import stages
from tests.bench.measurements import Measurement, ratio

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from adctl.delivery.catalog import Catalog
TOGETHER = 16
_ROUND_SEC = 0.6


class Collecting:
    """Keeps each call's command instead of sending it."""

    def __init__(self) -> None:
        self.commands: list[tuple[str | int | bytes, ...]] = []

    def run(self, script: Script, keys: Sequence[str], args: Sequence[str | int | bytes]) -> Any:
        self.commands.append(("EVALSHA", script.sha, len(keys), *keys, *args))
        # Whoever asks reads this as a verdict, and throws it away.
        return [0] * 100


def measure(url: str, catalog: Catalog, rounds: int) -> Iterator[Measurement]:
    """Yield time per decision of up to twelve candidates, and how they compare."""
    commands = decisions(catalog)
    connection = HotConnection(url, timeout_ms=1000)
    try:
        _load(connection)
        alone, together, inside = [], [], []
        for _ in range(rounds):
            alone.append(_wall_us(connection, [[command] for command in commands]))
            batches = [commands[at : at + TOGETHER] for at in range(0, len(commands), TOGETHER)]
            connection.exchange([("CONFIG", "RESETSTAT")])
            together.append(_wall_us(connection, batches))
            inside.append(_inside_us(connection))
    finally:
        connection.close()
    one = Measurement("decide, one a round trip", "µs", alone)
    many = Measurement(f"decide, {TOGETHER} a round trip", "µs each", together)
    yield one
    yield many
    yield Measurement(f"of {TOGETHER} a round trip, inside Valkey", "µs each", inside)
    yield ratio("one a round trip / shared", one, many)


def decisions(catalog: Catalog) -> list[tuple[str | int | bytes, ...]]:
    """Return the commands that decide the bench's requests."""
    collecting = Collecting()
    ledger = RedisLedger(collecting, 120)
    now_ms = time.time_ns() // 1_000_000
    for number, request in enumerate(stages.requests()):
        auction = stages.auction_of(catalog, request, now_ms)
        if auction.candidates:
            ledger.decide([auction], f"{number:032x}", now_ms // 60_000, now_ms)
    whole = len(collecting.commands) // TOGETHER * TOGETHER
    return collecting.commands[:whole]


def _load(connection: HotConnection) -> None:
    connection.exchange([("SCRIPT", "LOAD", Script("decide").source)])


def _inside_us(connection: HotConnection) -> float:
    """Return the server's own count of a script's time since its counts were reset."""
    [text] = connection.exchange([("INFO", "commandstats")])
    found = re.search(r"cmdstat_evalsha:.*?usec_per_call=([\d.]+)", text)
    return float(found[1]) if found else 0.0


def _wall_us(
    connection: HotConnection, batches: list[list[tuple[str | int | bytes, ...]]]
) -> float:
    done, began = 0, time.perf_counter()
    while (took := time.perf_counter() - began) < _ROUND_SEC:
        for batch in batches:
            replies = connection.exchange(batch)
            if isinstance(replies[0], Exception):
                raise replies[0]
            done += len(batch)
    return took / done * 1e6
