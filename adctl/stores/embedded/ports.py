"""Choosing loopback ports that servers can keep over restarts."""

from __future__ import annotations

import random
import socket

from adctl.errors import StoreUnavailableError

# Below the ports that outgoing connections get: a client that keeps knocking on the port of a
# server that is down can be given that very port, connect to itself, and keep the server out.
_PORTS = range(20_000, 32_000)


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen on ``port`` now.

    Connections of an earlier run that are still closing do not count. Raises OSError if ``host``
    is no address of this machine.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as exc:
            if isinstance(exc, socket.gaierror):
                raise
            return False
        return True


def free_port(host: str, taken: set[int]) -> int:
    """Return a port that is free now and not in ``taken``, to which it is added.

    Raises StoreUnavailableError when there is none.
    """
    for port in random.sample(_PORTS, len(_PORTS)):
        if port not in taken and is_free(host, port):
            taken.add(port)
            return port
    raise StoreUnavailableError(f"no free port in {_PORTS.start} to {_PORTS.stop - 1} on {host}")
