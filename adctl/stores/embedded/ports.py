"""Choosing loopback ports that servers can keep over restarts."""

from __future__ import annotations

import os
import random
import socket

from adctl.errors import Fault, FaultyInputError, StoreUnavailableError

# Below the ports that outgoing connections get: a client that keeps knocking on the port of a
# server that is down can be given that very port, connect to itself, and keep the server out.
_PORTS = range(20_000, 32_000)
# A server listens only seconds after its port was chosen. Until then the UDP port of the same
# number, which nobody here uses, says to whoever else chooses ports that this one is spoken for.
_CLAIMS: dict[int, int] = {}


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen on ``port`` now.

    Connections of an earlier run that are still closing do not count. Raises FaultyInputError
    if ``host`` is no address.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as exc:
            if isinstance(exc, socket.gaierror):
                raise _no_address(host) from exc
            return False
        return True


def claim(host: str, port: int) -> bool:
    """Claim ``port``, until it is released or this process ends; return whether it was to be had.

    It is not if a server listens there, or if it is claimed already, by whomever. Raises
    FaultyInputError if ``host`` is no address.
    """
    with socket.socket(type=socket.SOCK_DGRAM) as sign:
        try:
            sign.bind((host, port))
        except OSError as exc:
            if isinstance(exc, socket.gaierror):
                raise _no_address(host) from exc
            return False
        if not is_free(host, port):
            return False
        _CLAIMS[port] = sign.detach()
    return True


def release(port: int) -> None:
    """Let others have ``port``. Nothing happens if it was not claimed by this process."""
    sign = _CLAIMS.pop(port, None)
    if sign is not None:
        os.close(sign)


def free_port(host: str) -> int:
    """Claim and return a port that is free now. Raises StoreUnavailableError if there is none."""
    for port in random.sample(_PORTS, len(_PORTS)):
        if claim(host, port):
            return port
    raise StoreUnavailableError(f"no free port in {_PORTS.start} to {_PORTS.stop - 1} on {host}")


def _no_address(host: str) -> FaultyInputError:
    return FaultyInputError("where to listen", [Fault("host", host, "an address of this machine")])
