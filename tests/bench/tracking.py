"""Events per second: the tracker beside bare servers that answer the same, and its spool."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from adctl.config import RedisSettings
from adctl.delivery.tokens import BidToken, Signer
from adctl.delivery.tracking_urls import tracking_urls
from adctl.stores import keys
from adctl.stores.redis import connect
from tests.bench import load
from tests.bench.measurements import Measurement, ratio
from tests.bench.serving import running_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import redis

    from adctl.stores.endpoints import Endpoints

OURS = "our server, prepared pixel"
STOCK = "Falcon and stock waitress, 4 threads, prepared pixel"
TRACKER = "the tracker, one worker, impressions"
PRICE_MICROS = 2_000_000
_KEY = bytes(range(32))
_ROUND_SEC = 3.0
# More than any of them answers in a round: a repeat would cost the tracker less.
_EVENTS_A_ROUND = 60_000


def measure(endpoints: Endpoints, state: Path, rounds: int) -> Iterator[Measurement]:
    """Yield answers per second and latencies of all three, in turns, and their ratios."""
    answers: dict[str, list[load.Answered]] = {OURS: [], STOCK: [], TRACKER: []}
    bids = Bids()
    with ExitStack() as running:
        client = running.enter_context(connect(endpoints.redis_url, RedisSettings()))
        ports = {
            OURS: running.enter_context(running_server("tests.bench.bare", "single-threaded")).port,
            STOCK: running.enter_context(running_server("tests.bench.bare", "stock")).port,
            TRACKER: running.enter_context(
                running_server(
                    "daemons.tracker",
                    environment=environment(endpoints, state),
                    path="/health/ready",
                )
            ).port,
        }
        for number in range(rounds + 1):
            paths = bids.make(client, _EVENTS_A_ROUND, state / "impressions.txt")
            for name, port in ports.items():
                # The first round warms up.
                answered = load.run(port, paths, _ROUND_SEC if number else 1, "GET")
                answers[name] += [answered] if number else []
            client.delete(keys.events(0))
    if errors := {name: told for name, told in answers.items() if any(one.errors for one in told)}:
        raise SystemExit(f"answers that were no 2xx: {errors}")
    rates = {
        name: Measurement(name, "answers/s", [one.per_sec for one in told])
        for name, told in answers.items()
    }
    for name, told in answers.items():
        yield rates[name]
        yield Measurement(f"{name}: 99th percentile", "ms", [one.p99_ms for one in told])
    yield ratio("the tracker / our server", rates[TRACKER], rates[OURS])
    yield ratio("the tracker / stock waitress", rates[TRACKER], rates[STOCK])


def environment(endpoints: Endpoints, state: Path) -> dict[str, str]:
    """Return a tracker's settings on these stores."""
    return {
        "ADCTL_STATE_DIR": str(state),
        "ADCTL_REDIS_URL": endpoints.redis_url,
        "ADCTL_SIGNING_KEYS": f"1:{_KEY.hex()}",
        "ADCTL_SIGNING_USER_KEY": _KEY.hex(),
        "ADCTL_TRACKER_WORKERS": "1",
    }


class Bids:
    """Bids of one campaign whose money is reserved, so that their impressions settle it."""

    def __init__(self) -> None:
        self._signer = Signer({1: _KEY})
        self._made = 0

    def make(self, client: redis.Redis, count: int, file: Path) -> Path:
        """Reserve as many bids; write the paths of their impressions to ``file``, and return it."""
        now_ms = time.time_ns() // 1_000_000
        bucket, nanos = now_ms // 60_000, count * PRICE_MICROS
        budget = keys.budget(0, 1)
        client.hincrby(keys.reservations(0, bucket), "1", nanos)
        for field, amount in (("budget", 2 * nanos), ("available", nanos), ("reserved", nanos)):
            client.hincrby(budget, field, amount)
        tokens = (self._token(number, now_ms, bucket) for number in range(count))
        file.write_text("".join(f"{self._path(token)}\n" for token in tokens))
        self._made += count
        return file

    def _token(self, number: int, now_ms: int, bucket: int) -> BidToken:
        bid = self._made + number
        return BidToken(
            f"{bid:024x}",
            1,
            1,
            "default",
            PRICE_MICROS,
            now_ms,
            bucket,
            f"{bid % 5000:032x}",
            (3600,),
        )

    def _path(self, token: BidToken) -> str:
        url = tracking_urls("", self._signer, token).impression
        return (
            url.replace("${AUCTION_PRICE}", "1.5")
            .replace("${AUCTION_CURRENCY}", "USD")
            .replace("${AUCTION_IMP_TS}", str(token.bid_at_ms))
        )
