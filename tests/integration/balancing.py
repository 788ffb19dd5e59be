"""HAProxy as deploy/haproxy.cfg sets it up, and requests through it."""

from __future__ import annotations

import http.client
import os
import shutil
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.bidder.calling import BODY, JSON

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

CONFIG = Path(__file__).parents[2] / "deploy" / "haproxy.cfg"
HAPROXY = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
# A package of the system's, which .ci/run installs: nobody else has to have it.
needs_haproxy = pytest.mark.skipif(HAPROXY is None, reason="there is no haproxy: install it")

# What all hosts must share.
SECRETS = {"ADCTL_SIGNING_KEYS": f"1:{'11' * 32}", "ADCTL_SIGNING_USER_KEY": "22" * 32}


@contextmanager
def haproxy(
    config: Path, log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Run HAProxy with ``config``."""
    assert HAPROXY is not None
    with log.open("wb") as output:
        process = subprocess.Popen(
            [HAPROXY, "-db", "-f", str(config)],
            env={**os.environ, **(environment or {})},
            stdout=output,
            stderr=output,
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


def eventually(happens: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def ask(
    port: int, method: str = "POST", path: str = "/bid-request", address: str = "127.0.0.1"
) -> int:
    """Return the status of an answer, 0 if there was none."""
    client = http.client.HTTPConnection(address, port, timeout=5)
    try:
        client.request(method, path, BODY if method == "POST" else None, JSON)
        answer = client.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        client.close()
    return answer.status
