"""Events per second: the tracker beside bare servers that answer the same."""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack, contextmanager
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
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import redis

    from adctl.stores.endpoints import Endpoints
    from tests.bench.serving import Running

OURS = "our server, prepared pixel"
STOCK = "Falcon and stock waitress, 4 threads, prepared pixel"
TRACKER = "the tracker, one worker, impressions"
PRICE_MICROS = 2_000_000
USERS = 5_000
KEY = bytes(range(32))
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
            TRACKER: running.enter_context(running_tracker(endpoints.redis_url, state)).port,
        }
        for number in range(rounds + 1):
            paths = bids.make(client, _EVENTS_A_ROUND, state / "impressions.txt")
            for name, port in ports.items():
                # The first round warms up.
                answered = load.run(port, paths, _ROUND_SEC if number else 1, "GET")
                answers[name] += [answered] if number else []
            client.delete(keys.events(0))
    refuse_errors(answers)
    rates = {
        name: Measurement(name, "answers/s", [one.per_sec for one in told])
        for name, told in answers.items()
    }
    for name, told in answers.items():
        yield rates[name]
        yield Measurement(f"{name}: 99th percentile", "ms", [one.p99_ms for one in told])
    yield ratio("the tracker / our server", rates[TRACKER], rates[OURS])
    yield ratio("the tracker / stock waitress", rates[TRACKER], rates[STOCK])


def refuse_errors(answers: Mapping[str, Sequence[load.Answered]]) -> None:
    """End the bench if there were answers that were no 2xx."""
    errors = {name: sum(one.errors for one in told) for name, told in answers.items()}
    if any(errors.values()):
        raise SystemExit(f"answers that were no 2xx: {errors}")


@contextmanager
def running_tracker(redis_url: str, state: Path) -> Iterator[Running]:
    """Run the tracker with one worker, whose state is in a folder of ``state``."""
    environment = {
        "ADCTL_STATE_DIR": tempfile.mkdtemp(dir=state),
        "ADCTL_REDIS_URL": redis_url,
        "ADCTL_SIGNING_KEYS": f"1:{KEY.hex()}",
        "ADCTL_SIGNING_USER_KEY": KEY.hex(),
        "ADCTL_TRACKER_WORKERS": "1",
    }
    with running_server("daemons.tracker", environment=environment, path="/health/live") as tracker:
        yield tracker


class Bids:
    """Bids of one campaign whose money is reserved, so that their impressions settle it."""

    def __init__(self) -> None:
        self._signer = Signer({1: KEY})
        self._made = 0

    def make(self, client: redis.Redis, count: int, file: Path) -> Path:
        """Reserve as many bids; write the paths of their impressions to ``file``, and return it."""
        # Of this minute and the next, should it end meanwhile.
        minute, nanos = time.time_ns() // 60_000_000_000, count * PRICE_MICROS
        for bucket in (minute, minute + 1):
            client.hincrby(keys.reservations(0, bucket), "1", nanos)
        for field, amount in (("budget", 3 * nanos), ("available", nanos), ("reserved", 2 * nanos)):
            client.hincrby(keys.budget(0, 1), field, amount)
        return self.tell(count, file)

    def tell(self, count: int, file: Path) -> Path:
        """Write the paths of as many new bids' impressions to ``file``, and return it."""
        file.write_text("".join(f"{self._path(token)}\n" for token in self.tokens(count)))
        return file

    def tokens(self, count: int) -> list[BidToken]:
        """Return as many new bids."""
        now_ms = time.time_ns() // 1_000_000
        made = [self._token(number, now_ms, now_ms // 60_000) for number in range(count)]
        self._made += count
        return made

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
            f"{bid % USERS:032x}",
            (3600,),
        )

    def _path(self, token: BidToken) -> str:
        url = tracking_urls("", self._signer, token).impression
        return (
            url.replace("${AUCTION_PRICE}", "1.5")
            .replace("${AUCTION_CURRENCY}", "USD")
            .replace("${AUCTION_IMP_TS}", str(token.bid_at_ms))
        )
