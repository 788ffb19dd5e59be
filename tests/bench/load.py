"""Putting load on a server: by wrk where it is installed, else by a small generator of our own."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import time
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

CONNECTIONS = 32
_WRK_SCRIPT = Path(__file__).with_name("wrk.lua")


class Answered(NamedTuple):
    """What a server answered to the load of one round."""

    per_sec: float
    p50_ms: float
    p99_ms: float
    errors: int


def generator() -> str:
    """Return the name of what makes the load on this machine."""
    return "wrk" if shutil.which("wrk") else "the bench's own asyncio generator"


def run(
    port: int, lines: Path, seconds: float, method: str = "POST", patience_sec: int = 2
) -> Answered:
    """Send the lines of a file in turn, over 32 kept connections, for ``seconds``.

    They are bodies to post, or the paths of GETs; none is sent twice before all have been once. wrk
    takes what is answered later than ``patience_sec`` for an error.
    """
    if shutil.which("wrk"):
        return _wrk(port, lines, seconds, method, patience_sec)
    requests = [_request(line, method) for line in lines.read_bytes().splitlines()]
    return asyncio.run(_own(port, requests, seconds))


def _request(line: bytes, method: str) -> bytes:
    if method == "GET":
        return b"GET %b HTTP/1.1\r\nHost: bench\r\n\r\n" % line
    return (
        b"POST /bid-request HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(line), line)
    )


def _wrk(port: int, lines: Path, seconds: float, method: str, patience_sec: int) -> Answered:
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds:.0f}s", "-s", str(_WRK_SCRIPT)]
    command.append(f"--timeout={patience_sec}s")
    done = subprocess.run(
        [*command, f"http://127.0.0.1:{port}/bid-request", "--", str(lines), method],
        check=True,
        capture_output=True,
        text=True,
    )
    told = json.loads(done.stdout.strip().splitlines()[-1])
    return Answered(
        told["requests"] / (told["duration_us"] / 1e6),
        told["p50_us"] / 1000,
        told["p99_us"] / 1000,
        told["errors"],
    )


async def _own(port: int, requests: Sequence[bytes], seconds: float) -> Answered:
    ends_at = time.perf_counter() + seconds
    began = time.perf_counter()
    callers = [_call(port, requests[n::CONNECTIONS], ends_at) for n in range(CONNECTIONS)]
    results = await asyncio.gather(*callers)
    took = time.perf_counter() - began
    waits = sorted(wait for result in results for wait in result[0])
    return Answered(
        len(waits) / took,
        waits[len(waits) // 2] * 1000,
        waits[len(waits) * 99 // 100] * 1000,
        sum(result[1] for result in results),
    )


async def _call(port: int, requests: Sequence[bytes], ends_at: float) -> tuple[list[float], int]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    waits, errors = [], 0
    for request in cycle(requests):
        began = time.perf_counter()
        if began >= ends_at:
            break
        errors += not await _ask(reader, writer, request)
        waits.append(time.perf_counter() - began)
    writer.close()
    return waits, errors


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> bool:
    """Return whether the answer was a 2xx."""
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    _, _, length = head.lower().partition(b"content-length:")
    await reader.readexactly(int(length.split(b"\r\n", 1)[0]) if length else 0)
    return head[9:10] == b"2"
