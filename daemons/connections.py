"""Whose connections a daemon holds: whoever is silent makes room for whoever comes.

A connection costs its holder nothing, and us a descriptor and some time in every turn. So their
number is limited, over all and for each address. Where a limit is reached the oldest connections
that have nothing under way are closed for the new one; of many that never had an answer, those
first. To send a byte now and then is no request, and makes nobody younger.
"""

from __future__ import annotations

import resource
import time
from collections import Counter
from functools import lru_cache
from heapq import nsmallest
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any

import structlog
from waitress.server import TcpWSGIServer

from daemons.channel import Channel
from daemons.direct import no_routes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from adctl.config_connections import ConnectionSettings

log = structlog.get_logger()

# How many are accepted between two polls: it is one look at all connections, be they thousands.
AT_ONCE = 64
# Descriptors kept for what else a process opens: stores, spools, its log.
_KEPT_FILES = 256
_MOST_FILES = 1 << 16
_BACK_OFF_SEC = 0.25
# A time without failures after which the next one is news.
_OUTAGE_SEC = 60.0


def raise_file_limit() -> None:
    """Let this process have as many files open as it may, within reason."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def most_connections(wanted: int) -> int:
    """Return how many connections this process may hold, given the files it may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    room = wanted if soft == resource.RLIM_INFINITY else soft - _KEPT_FILES - 2 * AT_ONCE
    return max(min(wanted, room), 16)


class Server(TcpWSGIServer):  # type: ignore[misc]
    """waitress' server, with a limit on who holds connections. ``accept_one`` may be wrapped."""

    channel_class = Channel
    active_channels: dict[int, Channel]
    draining = False
    routes: Any = staticmethod(no_routes)

    def limit(self, settings: ConnectionSettings) -> None:
        """Hold as many connections as ``settings`` say. To be called before serving."""
        self.most = most_connections(settings.most)
        self.first_byte_sec = settings.first_byte_sec
        self._per_address = settings.per_address
        # Without those that are about to be closed.
        self._holding = 0
        self._held: Counter[str] = Counter()
        self._failed_at = -_OUTAGE_SEC
        self._accepts_from = 0.0
        networks = [ip_network(network) for network in settings.trusted_proxies]
        self._is_proxy = lru_cache(maxsize=4096)(
            lambda address: any(ip_address(address) in network for network in networks)
        )

    def readable(self) -> bool:
        """Return whether to accept; make room first. Called before every poll."""
        if self._holding > self.most:
            excess = self._holding - self.most + self.most // AT_ONCE
            self._close_oldest(self.active_channels.values(), excess, self.most)
        return bool(super().readable()) and time.monotonic() >= self._accepts_from

    def handle_accept(self) -> None:
        """Accept who has connected, some at once."""
        for _ in range(AT_ONCE):
            if not self.accept_one():
                return

    def accept_one(self) -> bool:
        """Accept a connection; return whether there may be another."""
        try:
            accepted = self.accept()
        except OSError as exc:
            self._back_off(exc)
            return False
        if accepted is None:
            return False
        sock, address = accepted
        try:
            self.set_socket_options(sock)
        except OSError:
            # It has left already.
            sock.close()
            return True
        self._count(self.channel_class(self, sock, address, self.adj, map=self._map))
        return True

    def leave(self, channel: Channel) -> None:
        """Count a connection no more. Once more changes nothing."""
        if channel.counted:
            channel.counted = False
            self._holding -= 1
            self._held[channel.addr[0]] -= 1
            if not self._held[channel.addr[0]]:
                del self._held[channel.addr[0]]

    def _count(self, channel: Channel) -> None:
        address = channel.addr[0]
        channel.counted = True
        self._holding += 1
        self._held[address] += 1
        if self._held[address] <= self._per_address or self._is_proxy(address):
            return
        its_own = [
            one
            for one in self.active_channels.values()
            if one.addr[0] == address and one is not channel
        ]
        excess = 1 + self._per_address // AT_ONCE
        if not self._close_oldest(its_own, excess, self._per_address):
            # All of its others are at work.
            self._close(channel)

    def _close_oldest(self, channels: Iterable[Channel], number: int, most: int) -> int:
        """Close of those that have nothing under way the oldest ones; return how many.

        First come those that never had an answer, if they are a good part of the ``most`` there may
        be: else it would be always the newcomer who goes.
        """
        idle = [one for one in channels if not one.requests and not one.will_close]
        unanswered = [one for one in idle if not one.answered_at]
        if len(unanswered) > most // 4:
            idle = unanswered
        oldest = nsmallest(number, idle, key=lambda one: one.answered_at or one.creation_time)
        for channel in oldest:
            self._close(channel)
        return len(oldest)

    def _close(self, channel: Channel) -> None:
        # In the coming poll: in this one its descriptor may be named yet, and mean another by then.
        channel.will_close = True
        self.leave(channel)

    def _back_off(self, exc: OSError) -> None:
        """Accept nobody for a moment, and close who is idle: no descriptor is left, or no memory.

        Whoever waits keeps waiting, so the socket stays readable: asked at once again, this would
        be all that the process does.
        """
        now = time.monotonic()
        if now - self._failed_at > _OUTAGE_SEC:
            log.error("connections cannot be accepted", error=exc.strerror, held=len(self._map))
        self._failed_at = now
        self._accepts_from = now + _BACK_OFF_SEC
        self._close_oldest(self.active_channels.values(), AT_ONCE, self.most)
