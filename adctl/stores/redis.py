"""Connecting to Redis or Valkey, and the scripts that run inside it."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import redis
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisClusterException, RedisError
from redis.retry import Retry

from adctl.config_urls import is_redis_cluster
from adctl.errors import StoreUnavailableError
from adctl.resources import REDIS_SCRIPTS
from adctl.stores.cluster import LazyCluster

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from adctl.config import RedisSettings

    # A script's keys and arguments.
    Call = tuple[Sequence[str], Sequence[str | int | bytes]]
    ScriptCall = tuple["Script", Sequence[str], Sequence[str | int | bytes]]


def connect(url: str, settings: RedisSettings) -> redis.Redis:
    """Return a client that decodes replies to str and never repeats a command on its own.

    redis-py retries by default, and a retried increment whose reply was lost counts twice. Nothing
    is sent until the first command. The client is safe to share between threads. A cluster's is
    used in the same way, with the keys of a command in one slot; see LazyCluster.
    """
    if is_redis_cluster(url):
        return cast("redis.Redis", LazyCluster(url, settings))
    pool = redis.BlockingConnectionPool.from_url(
        url,
        max_connections=settings.pool_size,
        timeout=settings.timeout_ms / 1000,
        socket_timeout=settings.timeout_ms / 1000,
        socket_connect_timeout=settings.timeout_ms / 1000,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
    )
    return redis.Redis.from_pool(pool)


@contextmanager
def redis_errors(doing: str) -> Iterator[None]:
    """Turn the driver's exceptions into StoreUnavailableError, naming what was being done."""
    try:
        yield
    except (RedisError, RedisClusterException) as exc:
        raise StoreUnavailableError(f"Redis: could not {doing}: {exc}") from exc


class Script:
    """One file of ``scripts/``, sent whole once and by its hash after that."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.source = (REDIS_SCRIPTS / f"{name}.lua").read_text()
        self.sha = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()

    def run(
        self, client: redis.Redis, keys: Sequence[str], args: Sequence[str | int | bytes]
    ) -> Any:
        """Run the script; its reply, decoded. Raises StoreUnavailableError."""
        with redis_errors(f"run the {self.name} script"):
            try:
                return client.evalsha(self.sha, len(keys), *keys, *args)
            except NoScriptError:
                # Refused before anything ran (a restarted server): sending it whole is no repeat.
                return client.eval(self.source, len(keys), *keys, *args)

    def run_all(self, client: redis.Redis, calls: Sequence[Call]) -> list[Any]:
        """Run the script once for each call, in one round trip; the replies in their order.

        Only for a script that may be repeated: a cluster's client does so when it loses a node.
        Raises StoreUnavailableError.
        """
        if not calls:
            return []
        with redis_errors(f"run the {self.name} script"):
            pipeline = client.pipeline(transaction=False)
            for keys, args in calls:
                pipeline.execute_command("EVALSHA", self.sha, len(keys), *keys, *args)
            replies = pipeline.execute(raise_on_error=False)
            for place, reply in enumerate(replies):
                if isinstance(reply, NoScriptError):
                    replies[place] = self.run(client, *calls[place])
                elif isinstance(reply, Exception):
                    raise reply
        return replies


class ClientScripts:
    """Runs scripts by an ordinary client, each in a round trip of its own."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def run(self, script: Script, keys: Sequence[str], args: Sequence[str | int | bytes]) -> Any:
        """Run a script; its reply. Raises StoreUnavailableError."""
        return script.run(self._client, keys, args)
