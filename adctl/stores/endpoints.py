"""Where the stores are: as configured, or the embedded stack."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from adctl.errors import StoreUnavailableError
from adctl.stores.embedded.state import is_held, load_record, server_lock

if TYPE_CHECKING:
    from pathlib import Path

    from adctl.config import Settings


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
    configured = {
        "postgres": settings.postgres.url.get_secret_value(),
        "valkey": settings.redis.url.get_secret_value(),
        "kafka": settings.kafka.bootstrap,
    }
    embedded = _embedded(
        stack_folder(settings), [name for name, url in configured.items() if not url]
    )
    return Endpoints(*(configured[name] or embedded[name] for name in configured))


def _embedded(folder: Path, needed: list[str]) -> dict[str, str]:
    if not needed:
        return {}
    try:
        record = load_record(folder)
        dead = [name for name in needed if not is_held(server_lock(folder, name))]
    except OSError as exc:
        raise StoreUnavailableError(f"the embedded stack's {exc.filename}: {exc.strerror}") from exc
    if record is None or dead:
        raise StoreUnavailableError(
            f"the embedded stack in {folder} is not running ({', '.join(dead or needed)}): "
            "`adctl stack start` starts it, or give URLs in the configuration"
        )
    return {
        "postgres": record.postgres_url,
        "valkey": record.redis_url,
        "kafka": record.kafka_bootstrap,
    }
