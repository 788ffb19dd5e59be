"""A user is forgotten while a tracker that has just been told of them runs."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from adctl.cli.root import app
from adctl.config import RedisSettings
from adctl.delivery.tokens import BidToken
from adctl.stores.redis import connect
from tests.integration.tracker.street import KEY, USER, Street

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from adctl.control.daemon_process import DaemonProcess
    from adctl.stores.endpoints import Endpoints


@pytest.mark.usefixtures("postgres")
def test_running_tracker_drops_a_forgotten_user_from_its_journal(
    own_redis_url: str,
    start_daemon: Callable[..., DaemonProcess],
    endpoints: Endpoints,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    environment = {
        "ADCTL_REDIS_URL": own_redis_url,
        "ADCTL_KAFKA_TOPIC_PREFIX": "forgetting.",
        "ADCTL_SIGNING_KEYS": f"3:{KEY.hex()}",
        "ADCTL_SIGNING_USER_KEY": KEY.hex(),
    }
    tracker, *_ = [start_daemon(name, **environment) for name in ("tracker", "flusher", "pacer")]
    folder: Path = tracker.log.parent
    with connect(own_redis_url, RedisSettings()) as client:
        street = Street(tracker.port, client, folder / "journal")
        now_ms = time.time_ns() // 1_000_000
        bid = BidToken(
            "ab" * 12, 1, 2, "default", 2_000_000, now_ms, now_ms // 60_000, USER, (3600,)
        )
        assert street.tell(bid, "impression").status == 200
        assert USER.encode() in street.journaled
        for name, value in {
            **environment,
            "ADCTL_STATE_DIR": str(folder),
            "ADCTL_POSTGRES_URL": endpoints.postgres_url,
            "ADCTL_KAFKA_BOOTSTRAP": endpoints.kafka_bootstrap,
        }.items():
            monkeypatch.setenv(name, value)
        words = ["user", "forget", USER, "--hash", "--yes", "--output", "json"]
        result = CliRunner().invoke(app, words)
        street.connection.close()
    assert result.exit_code == 0, result.output
    receipt = json.loads(result.stdout)
    assert (receipt["waiting"], receipt["spooled"]) == (0, 0)
    assert not [path for path in folder.rglob("*.v1") if USER.encode() in path.read_bytes()]
