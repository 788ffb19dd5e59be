"""A Redis Cluster as the control plane sees it: one client for all nodes, connected when needed.

Bidders and trackers decide over connections of their own (adctl.stores.hot_cluster).
"""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode
from redis.connection import parse_url
from redis.exceptions import RedisClusterException
from redis.retry import Retry

from adctl.config_urls import redis_node_urls

if TYPE_CHECKING:
    from adctl.config import RedisSettings


class LazyCluster:
    """A redis.RedisCluster that asks for the cluster's map at its first command, not before.

    A program must be able to start while the cluster is away. A command is never repeated, but for
    one that a node refused because its slot is elsewhere; commands of a pipeline are, when a node
    was lost over them, so a pipeline may only hold what can be repeated. Safe to share between
    threads.
    """

    def __init__(self, url: str, settings: RedisSettings) -> None:
        self._url = url
        self._settings = settings
        self._cluster: redis.RedisCluster | None = None
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        """Return what the connected client calls so. Raises redis' ConnectionError."""
        return getattr(self._connected(), name)

    def __enter__(self) -> Self:
        """Return itself; leaving hangs up."""
        return self

    def __exit__(self, *_: object) -> None:
        """Hang up."""
        self.close()

    def close(self) -> None:
        """Hang up, if there ever was a connection."""
        if self._cluster is not None:
            # Its own close() leaves the nodes' pools as they are.
            self._cluster.disconnect_connection_pools()
            self._cluster.close()

    def _connected(self) -> redis.RedisCluster:
        with self._lock:
            if self._cluster is None:
                self._cluster = _connect(redis_node_urls(self._url), self._settings)
            return self._cluster


def _connect(node_urls: list[str], settings: RedisSettings) -> redis.RedisCluster:
    timeout_sec = settings.timeout_ms / 1000
    others = [parse_url(url) for url in node_urls[1:]]
    try:
        return redis.RedisCluster(
            url=node_urls[0],
            startup_nodes=[ClusterNode(node["host"], node.get("port", 6379)) for node in others],
            connection_pool_class=partial(redis.BlockingConnectionPool, timeout=timeout_sec),
            max_connections=settings.pool_size,
            socket_timeout=timeout_sec,
            socket_connect_timeout=timeout_sec,
            retry=Retry(NoBackoff(), 0),
            # What is in the other slots goes on while one node is away.
            require_full_coverage=False,
            # Any word of a slot that has moved is reason to read the whole map again.
            reinitialize_steps=1,
            decode_responses=True,
        )
    except RedisClusterException as exc:
        raise redis.ConnectionError(str(exc)) from exc
