"""A tracker's caller: bids that were made, and what is told of them."""

from __future__ import annotations

import http.client
import re
import time
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from adctl.delivery.auction import Candidate, ImpAuction
from adctl.delivery.place import Place
from adctl.delivery.tokens import BidToken, Signer
from adctl.models import (
    BidStrategy,
    Campaign,
    Creative,
    CreativeKind,
    Event,
    FrequencyCap,
    Status,
)
from adctl.stores import keys
from adctl.stores.auction_ledger import RedisLedger
from adctl.stores.budgets import Budgets, BudgetState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import redis

    from adctl.stores.redis import Script

KEY = bytes(range(32))
SIGNER = Signer({3: KEY})
FORGER = Signer({3: bytes(32)})
USER = "ab" * 16
PRICE = 2_000_000
TOKEN_TTL_SEC = 3600
CAMPAIGN = Campaign(
    id=1,
    advertiser_id=1,
    name="campaign",
    status=Status.ACTIVE,
    bid_strategy=BidStrategy.CPM,
    bid_amount_micros=PRICE,
    daily_budget_nanos=10**15,
    total_budget_nanos=10**15,
    starts_at=datetime(2020, 1, 1, tzinfo=UTC),
    caps=(FrequencyCap(100_000, 3600),),
    creatives=(
        Creative(
            id=2,
            campaign_id=1,
            name="banner",
            kind=CreativeKind.BANNER,
            status=Status.ACTIVE,
            landing_url="https://advertiser.example/shop?from=ad&click={click_id}&c={campaign_id}&on={site}",
            adomain=("advertiser.example",),
            width=300,
            height=250,
        ),
    ),
)


class PlainScripts:
    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def run(self, script: Script, keys: Sequence[str], args: Sequence[str | int | bytes]) -> Any:
        return script.run(self._client, keys, args)


class Reply(NamedTuple):
    status: int
    body: bytes
    headers: http.client.HTTPMessage


class Street:
    """Bids that were made, and what is told of them."""

    def __init__(self, port: int, client: redis.Redis, journal: Path) -> None:
        self.redis = client
        self._journal = journal
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        self._budgets = Budgets(client)
        self._ledger = RedisLedger(PlainScripts(client), hold_sec=120)

    def bid(self, **changes: Any) -> BidToken:
        """Reserve a bid as the bidder does, and return what its URLs carry."""
        now_ms = time.time_ns() // 1_000_000
        bucket = now_ms // 60_000
        candidate = Candidate(CAMPAIGN, CAMPAIGN.creatives[0], PRICE, CAMPAIGN.caps)
        [verdict] = self._ledger.decide([ImpAuction("1", 0, (candidate,))], USER, bucket, now_ms)
        assert verdict.winner == 0
        token = BidToken(
            bid_id=f"{next(NUMBERS):024x}",
            campaign_id=1,
            creative_id=2,
            exchange="default",
            price_cpm_micros=PRICE,
            bid_at_ms=now_ms,
            bucket=bucket,
            user_hash=USER,
            cap_windows=(3600,),
            advertiser_id=1,
            place=Place("news.example", "USA", "4"),
        )
        return msgspec.structs.replace(token, **changes)

    def call(
        self,
        path: str,
        method: str = "GET",
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        self.connection.request(method, path, body, dict(headers or {}))
        reply = self.connection.getresponse()
        return Reply(reply.status, reply.read(), reply.headers)

    def post(self, body: object, method: str = "POST", **headers: str) -> Reply:
        """Post events; text and bytes as they are, anything else as JSON."""
        raw = body if isinstance(body, (str, bytes)) else msgspec.json.encode(body)
        return self.call("/events", method, raw, headers)

    def tell(self, bid: BidToken, kind: str, method: str = "GET", price: str = "1.5") -> Reply:
        return self.call(url(bid, kind, price), method)

    def metric(self, name: str, **labels: str) -> float:
        text = self.call("/metrics").body.decode()
        told = ",".join(f'{label}="{value}"' for label, value in labels.items())
        found = re.search(rf"^{name}\{{{re.escape(told)}\}} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0

    def gauge(self, name: str) -> float:
        text = self.call("/metrics").body.decode()
        [value] = re.findall(rf"^{name} (\S+)$", text, re.MULTILINE)
        return float(value)

    def confirm(self, generation: int) -> None:
        """Find Redis right, as the pacer does."""
        run_id = self.redis.info("server")["run_id"]
        self.redis.set(keys.generation(0), f"{generation} {run_id}")

    def empty_journal(self) -> None:
        """Have the tracker forget what it was told: PostgreSQL has it."""
        self.confirm(1)

        def emptied() -> bool:
            last_id = self.redis.xinfo_stream(keys.events(0))["last-generated-id"]
            self.redis.set(keys.flushed(0), last_id)
            return not self.journaled

        # Until it is told again, a stream that was emptied has no id.
        self.redis.xadd(keys.events(0), {"nothing": ""})
        eventually(emptied)

    @property
    def journaled(self) -> bytes:
        """What is in the tracker's journal."""
        return b"".join(path.read_bytes() for path in sorted(self._journal.glob("*.v1")))

    @property
    def events(self) -> list[Event]:
        entries = self.redis.xrange(keys.events(0))
        return [msgspec.json.decode(fields["e"], type=Event) for _, fields in entries]

    @property
    def money(self) -> BudgetState:
        return self._budgets.read([1])[1]


NUMBERS = count(1)
_TOLD = (keys.KEY_HOLDERS, keys.KEY_USES)


def token_of(bid: BidToken, kind: str, signer: Signer = SIGNER) -> str:
    """The token with which an event of a kind is told."""
    notice, impression, click, conversion = signer.sign(bid)
    return {"impression": impression, "click": click, "conversion": conversion}.get(kind, notice)


def url(bid: BidToken, kind: str, price: str = "1.5", signer: Signer = SIGNER) -> str:
    place = "notice" if kind in ("win", "bill", "loss") else "track"
    return f"/{place}/{kind}?t={token_of(bid, kind, signer)}&p={price}"


def eventually(check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not check():
        assert time.monotonic() < deadline, "it did not come about within 10 s"
        time.sleep(0.05)


def everything(client: redis.Redis) -> dict[str, object]:
    """What Redis holds, but for what trackers tell by the clock."""
    read = {
        "hash": client.hgetall,
        "set": client.smembers,
        "stream": client.xrange,
        "string": client.get,
    }
    return {key: read[client.type(key)](key) for key in client.scan_iter() if key not in _TOLD}
