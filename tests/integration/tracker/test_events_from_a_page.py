"""Scripts of a page on another origin tell events. Skipped where there is no Chromium."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from tests.integration.tracker.street import Street, eventually, token_of, url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from adctl.control.daemon_process import DaemonProcess

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), "")
pytestmark = pytest.mark.skipif(not BROWSER, reason=f"there is no browser: {', '.join(NAMES)}")

# Every way a script has, each with an event of its own; the title tells what the page heard.
SCRIPT = """<script>
const json = token => JSON.stringify({kind: "impression", token, price: "1.5"});
const blob = token => new Blob([json(token)], {type: "application/json"});
const posted = (token, type, more) => fetch(TRACKER + "/events",
  {method: "POST", body: json(token), headers: {"content-type": type}, ...more});
(async () => {
  const heard = [];
  const hear = async (name, asked) => heard.push(name + "=" + await asked.then(
    async reply => reply.ok && (await reply.text()).length > 0, error => error));
  await hear("json", posted(TOKENS[0], "application/json", {}));
  await hear("text", posted(TOKENS[1], "text/plain", {keepalive: true}));
  await hear("credentials", posted(TOKENS[2], "application/json", {credentials: "include"}));
  await hear("pixel", fetch(TRACKER + PIXEL, {keepalive: true}));
  heard.push("beacon=" + navigator.sendBeacon(TRACKER + "/events", blob(TOKENS[3])));
  heard.push("plain=" + navigator.sendBeacon(TRACKER + "/events", json(TOKENS[4])));
  document.title = heard.join(" ");
})();
</script>"""
FRAMED = """<iframe sandbox="allow-scripts" srcdoc='%s'></iframe>"""


@contextmanager
def served(page: str, done: Callable[[], bool]) -> Iterator[str]:
    """Serve a page on an origin of its own, with a picture that comes when it is done."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/picture":
                eventually(done)
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def loaded(address: str, folder: Path) -> str:
    command = [
        *(BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}"),
        *("--dump-dom", address),
    ]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return ended.stdout


@pytest.mark.parametrize("framed", [False, True], ids=["a page", "a sandboxed frame"])
def test_script_tells_events_in_every_way_it_has(
    tracker: DaemonProcess, quiet_street: Street, tmp_path: Path, framed: bool
) -> None:
    street = quiet_street
    bids = [street.bid() for _ in range(6)]
    tokens = ",".join(f'"{token_of(bid, "impression")}"' for bid in bids[:5])
    constants = (
        f'const TRACKER = "http://127.0.0.1:{tracker.port}", TOKENS = [{tokens}],'
        f' PIXEL = "{url(bids[5], "impression")}";'
    )
    page = f"<title>?</title><script>{constants}</script>{SCRIPT}"
    content = (FRAMED % page if framed else page) + "<img src='/picture'>"
    with served(content, lambda: len(street.events) == len(bids)) as address:
        document = loaded(address, tmp_path)
    assert {event.bid_id for event in street.events} == {bid.bid_id for bid in bids}
    if not framed:
        [title] = re.findall(r"<title>(.*?)</title>", document)
        heard = dict(part.split("=") for part in title.split(" "))
        assert heard == dict.fromkeys(
            ("json", "text", "credentials", "pixel", "beacon", "plain"), "true"
        )
