"""A Redis Cluster on the hot path: a held connection per node, and still one round trip in time.

Where a shard is has to be known to no one: whatever node is asked either answers or says which one
would (MOVED), and that is remembered until the node fails. A command so refused has not run, so it
is sent again to the node named, once. Nothing else is ever sent twice.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from redis.exceptions import AskError, MovedError

from adctl.config_urls import address_of, at_address, is_redis_cluster, redis_node_urls
from adctl.errors import StoreUnavailableError
from adctl.stores.round_trip import HotConnection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from adctl.stores.round_trip import Command, Exchange

    Address = tuple[str, int]

_ASKING: Command = ("ASKING",)
# Where a command's first key stands; one without a key may go to any node.
_KEY_AT = {"EVALSHA": 3, "EVAL": 3, "GET": 1}


def hot_connection(url: str, timeout_ms: int) -> Exchange:
    """Return the connection of a worker to the server, or to the cluster, that ``url`` names."""
    if is_redis_cluster(url):
        return HotCluster(redis_node_urls(url), timeout_ms)
    return HotConnection(url, timeout_ms)


class HotCluster:
    """Connections to a cluster's nodes, as one.

    What a node that fails was asked is answered with StoreUnavailableError; the others go on.
    """

    def __init__(
        self,
        node_urls: Sequence[str],
        timeout_ms: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = node_urls[0]
        self._timeout_ms = timeout_ms
        self._clock = clock
        self._nodes = {address_of(url): HotConnection(url, timeout_ms, clock) for url in node_urls}
        self._homes: dict[str, Address] = {}

    def exchange(self, commands: Sequence[Command]) -> list[Any]:
        """Send each command to its node, all at once; return the replies, errors in their place."""
        tags = [_tag(command) for command in commands]
        replies: list[Any] = [None] * len(commands)
        self._ask(commands, ((place, self._home(tag)) for place, tag in enumerate(tags)), replies)
        redirected = [
            (place, reply) for place, reply in enumerate(replies) if isinstance(reply, AskError)
        ]
        if redirected:
            self._follow(commands, tags, redirected, replies)
        return replies

    def begin(self, commands: Sequence[Command]) -> Callable[[], list[Any]]:
        """Return what does the exchange: of a cluster, nothing is sent before."""
        return partial(self.exchange, commands)

    def close(self) -> None:
        """Hang up on every node."""
        for node in self._nodes.values():
            node.close()

    def _home(self, tag: str) -> Address:
        home = self._homes.get(tag)
        if home is None:
            usable = (address for address, node in self._nodes.items() if not node.failing)
            home = next(usable, next(iter(self._nodes)))
        return home

    def _ask(
        self,
        commands: Sequence[Command],
        places: Iterable[tuple[int, Address]],
        replies: list[Any],
        asking: frozenset[int] = frozenset(),
    ) -> None:
        """Send the commands at ``places`` to the nodes named there; put the replies in place."""
        by_node: dict[Address, list[int]] = {}
        for place, address in places:
            by_node.setdefault(address, []).append(place)
        sent: list[tuple[Address, list[int]]] = []
        for address, asked in by_node.items():
            packed = [
                part
                for place in asked
                for part in ((_ASKING, commands[place]) if place in asking else (commands[place],))
            ]
            try:
                self._nodes[address].send(packed)
                sent.append((address, asked))
            except StoreUnavailableError as exc:
                self._lost(address, asked, exc, replies)
        for address, asked in sent:
            count = len(asked) + len(asking.intersection(asked))
            try:
                received = iter(self._nodes[address].receive(count))
            except StoreUnavailableError as exc:
                self._lost(address, asked, exc, replies)
                continue
            for place in asked:
                if place in asking:
                    next(received)
                replies[place] = next(received)

    def _follow(
        self,
        commands: Sequence[Command],
        tags: Sequence[str],
        redirected: Sequence[tuple[int, AskError]],
        replies: list[Any],
    ) -> None:
        places: list[tuple[int, Address]] = []
        asking: set[int] = set()
        for place, word in redirected:
            # A node that does not know its own name leaves the host out: it is on the same one.
            address = (word.host or self._home(tags[place])[0], word.port)
            if address not in self._nodes:
                url = at_address(self._url, *address)
                self._nodes[address] = HotConnection(url, self._timeout_ms, self._clock)
            if isinstance(word, MovedError):
                self._homes[tags[place]] = address
            else:
                asking.add(place)
            places.append((place, address))
        self._ask(commands, places, replies, frozenset(asking))

    def _lost(
        self, address: Address, asked: Iterable[int], exc: StoreUnavailableError, replies: list[Any]
    ) -> None:
        for place in asked:
            replies[place] = exc
        # Another may have taken over what was there; any node that is left will say.
        self._homes = {tag: home for tag, home in self._homes.items() if home != address}


def _tag(command: Command) -> str:
    """Return the hash tag of a command's first key; '' for a command without keys."""
    at = _KEY_AT.get(str(command[0]))
    if at is None:
        return ""
    key = str(command[at])
    begin = key.find("{") + 1
    return key[begin : key.find("}", begin)] if begin else key
