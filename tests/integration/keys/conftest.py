"""A bidder and two trackers, as on hosts of their own, and the commands beside them."""

from __future__ import annotations

import os
import shlex
import signal
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
import psutil
import pytest
from typer.testing import CliRunner

from adctl.cli.root import app
from adctl.config import RedisSettings, load_settings
from adctl.models import Event
from adctl.stores import keys
from adctl.stores.budgets import Budgets
from adctl.stores.catalog import CatalogStore
from adctl.stores.key_holders import KeyHolders
from adctl.stores.redis import connect
from adctl.stores.secrets import load_signing
from tests.integration.bidder.calling import CAMPAIGN
from tests.integration.keys.key_desk import Desk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import psycopg
    import redis
    from click.testing import Result
    from psycopg_pool import ConnectionPool

    from adctl.config import Settings
    from adctl.control.daemon_process import DaemonProcess
    from adctl.delivery.signing_keys import KeyHolder
    from adctl.stores.endpoints import Endpoints

WORKERS = 2
_ADVERTISED = msgspec.structs.replace(
    CAMPAIGN,
    creatives=(
        msgspec.structs.replace(
            CAMPAIGN.creatives[0], landing_url="https://advertiser.example/?click={click_id}"
        ),
    ),
)
_PATIENCE_SEC = 40


class Host:
    """One daemon with a configuration of its own."""

    def __init__(self, process: DaemonProcess, config: Path) -> None:
        self.process = process
        self.port = process.port
        self._config = config

    def configure(self, signing: str) -> None:
        self._config.write_text(f"[signing]\n{signing}\n")

    def reload(self) -> None:
        """Have every worker replaced, and wait until those before have ended."""
        before = psutil.Process(self.process.pid).children()
        os.kill(self.process.pid, signal.SIGHUP)
        eventually(lambda: not [one for one in before if one.is_running()])


class Estate:
    """All hosts, their Redis, and `adctl` run beside them."""

    def __init__(self, client: redis.Redis, folder: Path, env: dict[str, str]) -> None:
        self.redis = client
        self.folder = folder
        self.env = env
        self.hosts: dict[str, Host] = {}

    def adctl(self, line: str) -> Result:
        return CliRunner().invoke(app, shlex.split(line), env=self.env, prog_name="adctl")

    def done(self, line: str) -> str:
        """Run a command that has to succeed; what it printed."""
        result = self.adctl(line)
        assert result.exit_code == 0, result.output
        return result.stdout.strip()

    @property
    def trackers(self) -> list[int]:
        return [host.port for name, host in self.hosts.items() if name != "bidder"]

    def holders(self) -> list[KeyHolder]:
        holders = KeyHolders(self.redis)
        return holders.all(holders.now_ms())

    def impressions(self) -> set[str]:
        entries = self.redis.xrange(keys.events(0))
        events = [msgspec.json.decode(fields["e"], type=Event) for _, fields in entries]
        return {event.bid_id for event in events if event.kind == "impression"}


@pytest.fixture(scope="module")
def estate(
    own_redis_url: str, endpoints: Endpoints, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Estate]:
    """No hosts yet, a campaign that all of them know, and a state folder."""
    folder = tmp_path_factory.mktemp("estate")
    with connect(own_redis_url, RedisSettings()) as client:
        CatalogStore(client).fill([_ADVERTISED])
        Budgets(client).sync(_ADVERTISED, datetime.now(UTC).date())
        env = {
            "ADCTL_STATE_DIR": str(folder),
            "ADCTL_REDIS_URL": own_redis_url,
            "ADCTL_POSTGRES_URL": endpoints.postgres_url,
            "ADCTL_KAFKA_BOOTSTRAP": endpoints.kafka_bootstrap,
            "ADCTL_ACTOR": "ann",
        }
        yield Estate(client, folder, env)


def start_hosts(
    estate: Estate, start_daemon: Callable[..., DaemonProcess], signing: str = ""
) -> None:
    """Start two trackers and a bidder, each with a configuration and a state folder of its own.

    Without ``signing`` they share the folder of kept keys.
    """
    for name in ("tracker-1", "tracker-2", "bidder"):
        daemon = name.partition("-")[0]
        state = estate.folder / name
        state.mkdir()
        (state / "secrets").symlink_to(estate.folder / "secrets")
        config = estate.folder / f"{name}.toml"
        config.write_text(f"[signing]\n{signing}\n")
        process = start_daemon(
            daemon,
            ADCTL_STATE_DIR=str(state),
            ADCTL_CONFIG=str(config),
            ADCTL_REDIS_URL=estate.env["ADCTL_REDIS_URL"],
            ADCTL_API_PORT="1",
            ADCTL_TRACKER_PUBLIC_URL="https://t.example",
            **{f"ADCTL_{daemon.upper()}_WORKERS": str(WORKERS)},
        )
        estate.hosts[name] = Host(process, config)


def eventually(check: Callable[[], object]) -> None:
    deadline = time.monotonic() + _PATIENCE_SEC
    while not check():
        assert time.monotonic() < deadline, f"it did not come about within {_PATIENCE_SEC} s"
        time.sleep(0.05)


@pytest.fixture
def desk(
    settings: Settings,
    postgres: psycopg.Connection,
    redis_client: redis.Redis,
    pool: ConnectionPool[psycopg.Connection],
    tmp_path: Path,
) -> Desk:
    mine = load_settings(
        overrides={
            "state_dir": tmp_path,
            "postgres": {"url": settings.postgres.url},
            "redis": {"url": settings.redis.url},
            "kafka": {"bootstrap": settings.kafka.bootstrap},
        }
    )
    load_signing(mine)
    return Desk(mine, redis_client, postgres, pool)
