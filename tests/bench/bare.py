"""Servers with nothing to decide: ``python -m tests.bench.bare KIND [WORKERS] PORT``.

They decode the bidder's bodies, or read a pixel's path, and answer as many bytes, in a responder of
Falcon's; what they leave out is the bidding and the tracking.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

import falcon
import waitress

from adctl.openrtb import decode_request
from adctl.stores.round_trip import HotConnection, RoundTrips
from daemons.serving import bind, make_server, serve
from daemons.tracker.app import PIXEL
from daemons.turns import Turns

if TYPE_CHECKING:
    from falcon import Request, Response

# As long as the answer of a bidder with one bid.
PREPARED = b'{"id":"request-1","seatbid":[' + b"x" * 2000 + b"]}"
STOCK_THREADS = 4
_PR_SET_PDEATHSIG = 1


class Prepared:
    """Decodes the body, answers what was prepared."""

    def on_post(self, req: Request, resp: Response) -> None:
        """Answer 200."""
        decode_request(req.bounded_stream.read())
        resp.data = PREPARED


class PreparedPixel:
    """Answers with a pixel that nobody caches, as the tracker does."""

    def on_get(self, _req: Request, resp: Response, kind: str) -> None:
        """Answer 200."""
        resp.set_header("Cache-Control", "no-store")
        resp.content_type = "image/gif"
        resp.data = PIXEL


def main() -> None:
    """Serve until killed."""
    kind, *workers, port = sys.argv[1:]
    sock = bind("127.0.0.1", int(port))
    for _ in range(int(workers[0]) - 1 if workers else 0):
        if not os.fork():
            # Not to outlive whoever ends the first.
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            break
    app = falcon.App()
    app.add_route("/bid-request", Prepared())
    app.add_route("/track/{kind}", PreparedPixel())
    if kind == "stock":
        waitress.serve(app, sockets=[sock], threads=STOCK_THREADS)
        return
    # Never connects: nobody asks for anything.
    turns = Turns(RoundTrips(HotConnection("redis://127.0.0.1:1/0", timeout_ms=50)))
    serve(make_server(app, sock, dispatcher=turns), threading.Event(), turns.run)


if __name__ == "__main__":
    main()
