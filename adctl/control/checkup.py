"""Looking at everything adctl needs and saying, by name, what is not right and what to do."""

from __future__ import annotations

import http.client
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from typing import TYPE_CHECKING, Any

import msgspec
import psycopg

from adctl.control.keys import read_keyring
from adctl.control.permissions import loose_modes
from adctl.errors import AdctlError, ConfigError, NewerSchemaError, StoreUnavailableError
from adctl.money import format_nanos
from adctl.stores.endpoints import resolve_kafka, resolve_postgres, resolve_redis
from adctl.stores.key_holders import KeyHolders
from adctl.stores.migrations import pending
from adctl.stores.postgres import postgres_errors
from adctl.stores.redis import connect, redis_errors
from adctl.stores.rejected_events import RejectedEvents
from adctl.streams import topics
from adctl.streams.admin import KafkaAdmin

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from adctl.config import Settings
    from adctl.config_daemon import DaemonSettings
    from adctl.stores.rejected_events import RejectedCount

MIN_POSTGRES = 15
MIN_REDIS = (7, 0)
MIN_VALKEY = (7, 2)
DAEMON_TIMEOUT_SEC = 2.0
DAEMONS = ("bidder", "tracker", "api", "flusher", "consumer", "pacer")


class Outcome(StrEnum):
    """What a check found. Only ``FAIL`` makes adctl unfit for work."""

    OK = "ok"
    WARNING = "warning"
    FAIL = "FAIL"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Finding:
    """One check: what was looked at, how it is, and what would mend it."""

    check: str
    outcome: Outcome
    detail: str
    hint: str = ""


def examine(load: Callable[[], Settings], config_file: Path | None = None) -> list[Finding]:
    """Return a finding for every check, always all of them; changes nothing.

    ``load`` gives the settings, in part from ``config_file``; without valid ones the other checks
    are skipped. Takes no longer than the slowest check's timeout.
    """
    try:
        settings = load()
    except ConfigError as exc:
        faults = [Finding("configuration", Outcome.FAIL, str(fault)) for fault in exc.faults]
        return faults + [Finding(name, Outcome.SKIPPED, "needs settings") for name in _CHECKS]
    with ThreadPoolExecutor(len(_CHECKS)) as pool:
        found = pool.map(lambda name: _run(name, settings), _CHECKS)
        found_all = list(chain.from_iterable(found))
    valid = Finding("configuration", Outcome.OK, "valid")
    return [valid, *_permissions(settings, config_file), *found_all]


def _permissions(settings: Settings, config_file: Path | None) -> list[Finding]:
    return [
        Finding(
            "permissions",
            Outcome.WARNING,
            f"others may look into {loose.path} (mode {loose.mode:03o})",
            loose.command,
        )
        for loose in loose_modes(settings, config_file)
    ] or [Finding("permissions", Outcome.OK, "what is private is closed")]


def _run(name: str, settings: Settings) -> list[Finding]:
    try:
        return _CHECKS[name](settings)
    except AdctlError as exc:
        detail = " ".join(str(exc).split())
        return [Finding(name, Outcome.FAIL, detail, _HINTS.get(name, ""))]


def _state_folder(settings: Settings) -> list[Finding]:
    folder = existing = settings.state_dir
    while not existing.exists():
        existing = existing.parent
    if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
        return [Finding("state folder", Outcome.OK, str(folder))]
    detail = f"{existing} cannot be written to by this user"
    return [Finding("state folder", Outcome.FAIL, detail, "set state_dir to a folder of your own")]


def _postgres(settings: Settings) -> list[Finding]:
    url = resolve_postgres(settings)
    timeout = settings.postgres.connect_timeout_sec
    with postgres_errors("connect"), psycopg.connect(url, connect_timeout=timeout) as connection:
        number = connection.info.server_version
    version = f"PostgreSQL {number // 10_000}.{number % 10_000}"
    if number < MIN_POSTGRES * 10_000:
        hint = f"use PostgreSQL {MIN_POSTGRES} or newer"
        return [Finding("postgresql", Outcome.FAIL, version, hint)]
    return [Finding("postgresql", Outcome.OK, version), *_tables(url, timeout)]


def _tables(url: str, timeout: int) -> list[Finding]:
    try:
        missing = pending(url)
    except NewerSchemaError as exc:
        return [Finding("schema", Outcome.FAIL, str(exc), "install the adctl that migrated it")]
    if missing:
        detail = f"{len(missing)} migrations pending, first {missing[0]}"
        return [Finding("schema", Outcome.FAIL, detail, "adctl db migrate")]
    with postgres_errors("count"), psycopg.connect(url, connect_timeout=timeout) as connection:
        found = RejectedEvents().count(connection)
    return [Finding("schema", Outcome.OK, "up to date"), _rejected(found)]


def _rejected(found: RejectedCount) -> Finding:
    if not found.all:
        return Finding("rejected events", Outcome.OK, "none")
    detail = (
        f"{found.all} wait, {found.costly} of them with {format_nanos(found.nanos)} to be booked, "
        f"{found.unknown} of unknown cost"
    )
    hint = "adctl rejected list; once their cause is mended, adctl rejected retry --all"
    return Finding("rejected events", Outcome.WARNING, detail, hint)


def _redis(settings: Settings) -> list[Finding]:
    with (
        redis_errors("ask for its state"),
        connect(resolve_redis(settings), settings.redis) as client,
    ):
        info: Any = client.info("everything")
    server, minimum = ("Valkey", MIN_VALKEY) if "valkey_version" in info else ("Redis", MIN_REDIS)
    version = str(info.get("valkey_version") or info.get("redis_version", ""))
    detail = f"{server} {version}"
    if tuple(int(part) for part in version.split(".")[:2] if part.isdecimal()) < minimum:
        hint = "use Redis 7.0 or Valkey 7.2, or newer"
        return [Finding("redis", Outcome.FAIL, detail, hint)]
    return [Finding("redis", Outcome.OK, detail), _eviction(info), _durability(info)]


def _eviction(info: dict[str, Any]) -> Finding:
    policy = info.get("maxmemory_policy")
    if policy == "noeviction":
        return Finding("redis eviction", Outcome.OK, "noeviction")
    outcome = Outcome.WARNING if policy is None else Outcome.FAIL
    hint = "set maxmemory-policy noeviction, or budgets can be thrown out to make room"
    return Finding("redis eviction", outcome, str(policy or "cannot be seen"), hint)


def _durability(info: dict[str, Any]) -> Finding:
    if info.get("aof_enabled") == 1:
        return Finding("redis durability", Outcome.OK, "appendonly")
    hint = "set appendonly yes, or a restart loses events that have not been flushed"
    return Finding("redis durability", Outcome.FAIL, "no append-only file", hint)


def _signing_keys(settings: Settings) -> list[Finding]:
    """Whether what is signed is known to everybody who verifies."""
    try:
        with connect(resolve_redis(settings), settings.redis) as client:
            keyring = read_keyring(settings, KeyHolders(client))
    except StoreUnavailableError:
        return [Finding("signing keys", Outcome.SKIPPED, "needs redis")]
    troubles = keyring.troubles()
    if troubles:
        hint = "docs/operations.md, Rotating keys: give them the key, and reload them (SIGHUP)"
        return [Finding("signing keys", Outcome.WARNING, "; ".join(troubles), hint)]
    if not keyring.holders:
        return [Finding("signing keys", Outcome.OK, "no bidder or tracker tells of any")]
    signing = ", ".join(map(str, sorted({one.signs_with for one in keyring.holders} - {0})))
    detail = f"key {signing} signs, known to all who verify"
    return [Finding("signing keys", Outcome.OK, detail)]


def _kafka(settings: Settings) -> list[Finding]:
    admin = KafkaAdmin(resolve_kafka(settings), settings.kafka)
    cluster = Finding("kafka", Outcome.OK, f"cluster {admin.cluster_id()}")
    missing = sorted(set(topics.ALL) - set(admin.partitions()))
    if not missing:
        return [cluster, Finding("kafka topics", Outcome.OK, f"all {len(topics.ALL)}")]
    hint = "the daemons make them when they start"
    detail = f"missing: {', '.join(missing)}"
    return [cluster, Finding("kafka topics", Outcome.WARNING, detail, hint)]


def _daemon(name: str) -> Callable[[Settings], list[Finding]]:
    return lambda settings: [_ask_daemon(name, getattr(settings, name))]


class _Readiness(msgspec.Struct):
    """What a daemon's /health/ready answers with, as far as it matters here."""

    checks: dict[str, str]
    warnings: dict[str, str] = {}


def _ask_daemon(name: str, settings: DaemonSettings) -> Finding:
    address = f"{settings.host}:{settings.port}"
    connection = http.client.HTTPConnection(
        settings.reached_at, settings.port, timeout=DAEMON_TIMEOUT_SEC
    )
    try:
        connection.request("GET", "/health/ready")
        response = connection.getresponse()
        told = msgspec.json.decode(response.read(64 << 10), type=_Readiness)
    except TimeoutError:
        # It waits for a store longer than we do for it.
        return Finding(name, Outcome.FAIL, f"runs on {address}, but does not answer in time")
    except OSError:
        return Finding(name, Outcome.WARNING, f"not running on {address}", f"adctl serve {name}")
    except (http.client.HTTPException, msgspec.DecodeError, UnicodeDecodeError):
        hint = f"set {name}.port to a free one"
        return Finding(name, Outcome.WARNING, f"{address} answers, but is no {name}", hint)
    finally:
        connection.close()
    warned = "; ".join(f"{what}: {how}" for what, how in told.warnings.items())
    if response.status == http.HTTPStatus.OK and warned:
        hint = "see what docs/operations.md says of its metrics"
        return Finding(name, Outcome.WARNING, f"ready on {address}, but {warned}", hint)
    if response.status == http.HTTPStatus.OK:
        return Finding(name, Outcome.OK, f"ready on {address}")
    wrong = "; ".join(f"{what}: {how}" for what, how in told.checks.items() if how != "ok")
    return Finding(name, Outcome.FAIL, f"not ready on {address}: {wrong}")


_HINTS = {
    "postgresql": "check the server at postgres.url; without a URL, `adctl stack status`",
    "redis": "check the server at redis.url; without a URL, `adctl stack status`",
    "kafka": "check the servers at kafka.bootstrap; without any, `adctl stack status`",
}

_CHECKS: dict[str, Callable[[Settings], list[Finding]]] = {
    "state folder": _state_folder,
    "postgresql": _postgres,
    "redis": _redis,
    "signing keys": _signing_keys,
    "kafka": _kafka,
    **{name: _daemon(name) for name in DAEMONS},
}
