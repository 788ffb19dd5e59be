"""The cost of reading what exchanges send: a large request, a consent string."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from adctl.delivery.consent.purposes import read_permissions, tcf_permissions
from adctl.openrtb import decode_request
from tests.bench.measurements import Measurement
from tests.unit.delivery.consent.encoding import VENDOR, typical_tc_string

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_REPEATS = 2000


def measure(rounds: int) -> Iterator[Measurement]:
    """Yield the CPU time of each reading, in microseconds."""
    body, consent = large_request(), typical_tc_string()
    one, every = loosely_written(body)
    readings: dict[str, Callable[[], object]] = {
        f"decode and validate a request of {len(body):,} bytes": lambda: decode_request(body),
        "the same with one attribute of another type": lambda: decode_request(one),
        "the same with every number in it as a text": lambda: decode_request(every),
        f"TC string of {len(consent)} characters": lambda: read_permissions(consent, VENDOR),
        "the same TC string once more": lambda: tcf_permissions(consent, VENDOR),
    }
    for name, read in readings.items():
        yield Measurement(name, "µs CPU", [_cpu_us(read) for _ in range(rounds)])


def _cpu_us(read: Callable[[], object]) -> float:
    read()
    began = time.thread_time_ns()
    for _ in range(_REPEATS):
        read()
    return (time.thread_time_ns() - began) / _REPEATS / 1000


def loosely_written(body: bytes) -> tuple[bytes, bytes]:
    """Return a request with its ``tmax`` as a text, and with all its numbers as texts."""
    request = json.loads(body)
    one = json.dumps({**request, "tmax": str(request["tmax"])}).encode()
    return one, json.dumps(json.loads(body, parse_int=str, parse_float=str)).encode()


def large_request() -> bytes:
    """Return a request of about 3 KB: two impressions, deals, blocks, segments, a chain."""
    imp: dict[str, Any] = {
        "banner": {
            "format": [{"w": 300, "h": 250}, {"w": 336, "h": 280}, {"w": 970, "h": 250}],
            "btype": [4],
            "battr": [1, 3, 8, 9],
            "api": [3, 5, 6, 7],
            "pos": 1,
        },
        "video": {
            "mimes": ["video/mp4", "video/webm", "application/javascript"],
            "minduration": 5,
            "maxduration": 30,
            "protocols": [2, 3, 5, 6, 7, 8],
            "w": 640,
            "h": 360,
            "startdelay": 0,
            "plcmt": 1,
            "linearity": 1,
            "playbackmethod": [1, 2],
            "api": [1, 2, 7],
        },
        "pmp": {
            "private_auction": 0,
            "deals": [
                {"id": f"deal-{n}", "bidfloor": 1.5 + n, "at": 1, "wseat": ["seat1"]}
                for n in range(3)
            ],
        },
        "bidfloor": 0.75,
        "bidfloorcur": "USD",
        "secure": 1,
        "tagid": "/1234/news/article/top",
    }
    request = {
        "id": "80ce30c53c16e6ede735f123ef6e32361bfc7b22",
        "at": 1,
        "tmax": 250,
        "cur": ["USD"],
        "imp": [{"id": "1", **imp}, {"id": "2", **imp}],
        "site": {
            "id": "102855",
            "domain": "news.example",
            "page": "https://www.news.example/2026/11/garden/how-to-prune-roses-in-winter.html",
            "cat": ["IAB10", "IAB10-4"],
            "publisher": {"id": "8953", "name": "News"},
            "content": {"language": "en", "cat": ["IAB10"]},
        },
        "device": {
            "ua": "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) "
            "Chrome/131.0.0.0 Mobile Safari/537.36",
            "ip": "198.51.100.7",
            "devicetype": 4,
            "language": "en",
            "geo": {"country": "USA", "region": "MA", "city": "Boston", "zip": "02108"},
        },
        "user": {
            "id": "45asdf987656789adfad4678rew656789",
            "buyeruid": "5df678asd8987656asdf78987654",
            "data": [{"id": "dmp", "segment": [{"id": f"segment-{n}"} for n in range(12)]}],
        },
        "source": {"schain": {"complete": 1, "nodes": [{"asi": "x.example", "sid": "1", "hp": 1}]}},
        "badv": [f"rival{n}.example" for n in range(25)],
        "bcat": [f"IAB{n}" for n in (7, 11, 14, 23, 24, 25, 26)],
    }
    return json.dumps(request).encode()
