"""Where the stores are: as configured, or the embedded stack."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from adctl.errors import StoreUnavailableError
from adctl.stores.embedded.state import is_held, load_record, server_lock

if TYPE_CHECKING:
    from pathlib import Path

    from adctl.config import Settings
    from adctl.stores.embedded.state import StackRecord


@dataclass(frozen=True)
class Endpoints:
    """The three stores' addresses. URLs may hold passwords and are kept out of ``repr``."""

    postgres_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    kafka_bootstrap: str


def stack_folder(settings: Settings) -> Path:
    """Return where the embedded stack of these settings keeps everything."""
    return settings.state_dir / "stack"


def resolve(settings: Settings) -> Endpoints:
    """Return each store's configured address, or the embedded server's where none is given.

    Raises StoreUnavailableError, saying what to do, if an embedded server is needed and does not
    run.
    """
    return Endpoints(resolve_postgres(settings), resolve_redis(settings), resolve_kafka(settings))


def resolve_postgres(settings: Settings) -> str:
    """Return PostgreSQL's URL, password included. Raises as resolve does."""
    configured = settings.postgres.url.get_secret_value()
    return configured or _embedded(settings, "postgres").postgres_url


def resolve_redis(settings: Settings) -> str:
    """Return Redis' URL, password included. Raises as resolve does."""
    return settings.redis.url.get_secret_value() or _embedded(settings, "valkey").redis_url


def resolve_kafka(settings: Settings) -> str:
    """Return Kafka's bootstrap servers. Raises as resolve does."""
    return settings.kafka.bootstrap or _embedded(settings, "kafka").kafka_bootstrap


def _embedded(settings: Settings, name: str) -> StackRecord:
    folder = stack_folder(settings)
    try:
        record = load_record(folder)
        running = is_held(server_lock(folder, name))
    except OSError as exc:
        raise StoreUnavailableError(f"the embedded stack's {exc.filename}: {exc.strerror}") from exc
    if record is None or not running:
        raise StoreUnavailableError(
            f"the embedded {name} in {folder} is not running: "
            "`adctl stack start` starts it; or configure the address of another"
        )
    return record
