"""Our server on a port of its own, in a thread of the test's."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from daemons.serving import bind, make_server, serve
from daemons.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def serving(app: Callable[..., object], **options: Any) -> Iterator[int]:
    """Serve ``app`` with make_server's ``options``; the port."""
    sock, turns, stop = bind("127.0.0.1", 0), Turns(), threading.Event()
    server = make_server(app, sock, dispatcher=turns, **options)
    thread = threading.Thread(target=serve, args=(server, stop, turns.run))
    port = sock.getsockname()[1]
    thread.start()
    try:
        yield port
    finally:
        stop.set()
        thread.join()
        sock.close()
