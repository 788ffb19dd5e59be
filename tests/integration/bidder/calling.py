"""The bidder as exchanges see it: what it is asked here, and how."""

from __future__ import annotations

import http.client
import json
import re
import socket
from datetime import UTC, datetime
from typing import Any, NamedTuple

from adctl.models import BidStrategy, Campaign, Creative, CreativeKind, Status

CAMPAIGN = Campaign(
    id=1,
    advertiser_id=1,
    name="campaign",
    status=Status.ACTIVE,
    bid_strategy=BidStrategy.CPM,
    bid_amount_micros=2_000_000,
    daily_budget_nanos=10**15,
    total_budget_nanos=10**15,
    starts_at=datetime(2020, 1, 1, tzinfo=UTC),
    creatives=(
        Creative(
            id=2,
            campaign_id=1,
            name="banner",
            kind=CreativeKind.BANNER,
            status=Status.ACTIVE,
            landing_url="https://advertiser.example/",
            adomain=("advertiser.example",),
            width=300,
            height=250,
            image_url="https://cdn.example/a.png",
        ),
    ),
)
REQUEST: dict[str, Any] = {
    "id": "r-1",
    "imp": [{"id": "1", "banner": {"w": 300, "h": 250}, "bidfloor": 0.5, "secure": 1}],
    "site": {"domain": "news.example", "cat": ["IAB12"]},
    "device": {"devicetype": 4, "geo": {"country": "USA"}},
    "user": {"id": "visitor"},
    "tmax": 200,
    "cur": ["USD"],
}
BODY = json.dumps(REQUEST).encode()
NOTHING_FOR_IT = json.dumps({**REQUEST, "cur": ["EUR"]}).encode()
JSON = {"Content-Type": "application/json"}
MAX_BODY_BYTES = 65_536
ARRIVAL_TIMEOUT_SEC = 2
EXCHANGES = {
    "other-seat": {"seat": "seat9"},
    "telling": {"no_bid": "nbr"},
    "slow": {"qps_limit": 3},
    "euros": {"currency": "EUR"},
}


class Reply(NamedTuple):
    status: int
    body: bytes
    headers: http.client.HTTPMessage


class Caller:
    """A connection to the bidder that is kept."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)

    def call(
        self,
        body: Any = BODY,
        headers: dict[str, str] = JSON,
        method: str = "POST",
        path: str = "/bid-request",
        **options: Any,
    ) -> Reply:
        self.connection.request(method, path, body, headers, **options)
        reply = self.connection.getresponse()
        return Reply(reply.status, reply.read(), reply.headers)

    def count(self, outcome: str) -> float:
        return self.metric(f'adctl_bid_requests_total{{outcome="{outcome}"}}')

    def metric(self, name: str) -> float:
        text = self.call(None, {}, "GET", "/metrics").body.decode()
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0


def raw(port: int, text: bytes) -> bytes:
    """Send ``text``; return what comes back until the server hangs up or says no more."""
    with socket.create_connection(("127.0.0.1", port), timeout=2) as sock:
        sock.sendall(text)
        answer = b""
        try:
            while chunk := sock.recv(65_536):
                answer += chunk
                if b"\r\n\r\n" in answer and not answer.startswith(b"HTTP/1.1 100"):
                    break
        except TimeoutError:
            pass
        return answer
