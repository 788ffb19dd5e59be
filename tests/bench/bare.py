"""Servers that answer a prepared bid or pixel: ``python -m tests.bench.bare KIND PORT``.

What they have in common with bidder and tracker is the framework and the size of the bodies; what
they leave out is the bidding and the tracking.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

import falcon
import waitress

from adctl.stores.round_trip import HotConnection, RoundTrips
from daemons.serving import bind, make_server, serve
from daemons.tracker.app import PIXEL
from daemons.turns import Turns

if TYPE_CHECKING:
    from falcon import Request, Response

# As long as the answer of a bidder with one bid.
PREPARED = b'{"id":"request-1","seatbid":[' + b"x" * 2000 + b"]}"
STOCK_THREADS = 4


class Prepared:
    """Reads the body, answers what was prepared."""

    def on_post(self, req: Request, resp: Response) -> None:
        """Answer 200."""
        req.bounded_stream.read()
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
    kind, port = sys.argv[1], int(sys.argv[2])
    app = falcon.App()
    app.add_route("/bid-request", Prepared())
    app.add_route("/track/{kind}", PreparedPixel())
    if kind == "stock":
        waitress.serve(app, host="127.0.0.1", port=port, threads=STOCK_THREADS)
        return
    # Never connects: nobody asks for anything.
    turns = Turns(RoundTrips(HotConnection("redis://127.0.0.1:1/0", timeout_ms=50)))
    server = make_server(app, bind("127.0.0.1", port), dispatcher=turns)
    serve(server, threading.Event(), turns.run)


if __name__ == "__main__":
    main()
