"""Servers with nothing to decide: ``python -m tests.bench.bare KIND [WORKERS] PORT``.

They decode the bidder's bodies, or read a pixel's path, and answer as many bytes; what they leave
out is the bidding and the tracking. ``stock`` and ``single-threaded`` do it in a responder of
Falcon's, ``direct`` past WSGI, as the bidder answers.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

import falcon
import waitress

from adctl.openrtb import decode_request
from adctl.stores.round_trip import HotConnection, RoundTrips
from daemons.direct import Head, Reply, no_routes
from daemons.serving import bind, make_server, serve
from daemons.tracker.app import PIXEL
from daemons.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from falcon import Request, Response

    from adctl.delivery.steps import Steps
    from daemons.direct import Route

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


def prepared_past_wsgi(_header: Mapping[str, Any]) -> Route:
    """Do the same for any header that has come before, as the bidder's own answers are sent."""
    head = Head("200 OK", ("content-type", "application/json"))

    def steps(body: bytes) -> Steps[Reply]:
        decode_request(body)
        yield None
        return Reply(head, PREPARED)

    return steps


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
    routes = prepared_past_wsgi if kind == "direct" else no_routes
    server = make_server(app, sock, dispatcher=turns, routes=routes)
    serve(server, threading.Event(), turns.run)


if __name__ == "__main__":
    main()
