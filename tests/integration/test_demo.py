"""``adctl demo`` from start to end, with kills, and interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.demo, pytest.mark.timeout(180)]

KINDS = {"impression", "click", "conversion", "win", "bill", "loss"}


@pytest.fixture(scope="module")
def temporary() -> Iterator[Path]:
    """Where demos make their folders."""
    with tempfile.TemporaryDirectory(prefix="adctl-test-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder


def start_demo(temporary: Path, *options: str) -> subprocess.Popen[str]:
    # A configuration that would lead nowhere, if the demo listened to it.
    environment = {
        **os.environ,
        "TMPDIR": str(temporary),
        "ADCTL_POSTGRES_URL": "postgresql://nobody@127.0.0.1:1/nothing",
        "ADCTL_STATE_DIR": str(temporary / "not-this-one"),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "adctl", "demo", "--output", "json", *options],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def finished(temporary: Path) -> tuple[int, dict[str, Any], str]:
    """A run in which a daemon and a store are killed: exit code, summary, and what it said."""
    demo = start_demo(temporary, "--for", "10s", "--kill", "flusher@3", "--kill", "valkey@5")
    stdout, stderr = demo.communicate(timeout=150)
    assert stdout, stderr
    return demo.returncode, json.loads(stdout), stderr


@pytest.fixture(scope="module")
def summary(finished: tuple[int, dict[str, Any], str]) -> dict[str, Any]:
    return finished[1]


def test_a_run_with_kills_ends_well(finished: tuple[int, dict[str, Any], str]) -> None:
    code, summary, said = finished
    failed = [check for check in summary["checks"] if not check["holds"]]
    assert (failed, summary["complaints"], code) == ([], [], 0), said
    assert summary["ok"] is True


def test_the_killed_came_back(finished: tuple[int, dict[str, Any], str]) -> None:
    _, summary, said = finished
    assert summary["restarts"]["flusher"] >= 1
    assert summary["restarts"]["valkey"] == 1
    assert "valkey was started again" in said


def test_every_kind_of_event_happened_and_was_kept(summary: dict[str, Any]) -> None:
    rows = {row["event"]: row for row in summary["events"]}
    assert rows.keys() == KINDS
    for row in rows.values():
        assert 0 < row["acknowledged"] <= row["in_postgresql"] <= row["sent"]


def test_there_were_repeats_and_forgeries(summary: dict[str, Any]) -> None:
    traffic = summary["traffic"]
    assert traffic["events_repeated"] > 0
    assert traffic["forged_sent"] == traffic["forged_rejected"] > 0
    assert traffic["malformed_refused"] > 0


def test_every_campaign_adds_up(summary: dict[str, Any]) -> None:
    campaigns = summary["campaigns"]
    assert len(campaigns) == 8
    assert all(campaign["adds_up"] for campaign in campaigns)
    paused = next(row for row in campaigns if row["campaign"].startswith("Paused"))
    assert (paused["spent"], paused["reserved"]) == ("0.00", "0.00")


def test_no_bids_have_reasons(summary: dict[str, Any]) -> None:
    assert {"floor", "no_campaign", "currency"} <= summary["no_bids"].keys()
    assert summary["no_bids"]["unavailable"] > 0  # while Valkey was away


def test_nothing_is_left_behind(finished: tuple[int, dict[str, Any], str], temporary: Path) -> None:
    assert list(temporary.iterdir()) == []


def test_ctrl_c_ends_the_traffic_and_still_audits(temporary: Path) -> None:
    demo = start_demo(temporary, "--for", "10m")
    assert demo.stderr is not None
    said = ""
    while "bidder is ready" not in said:
        line = demo.stderr.readline()
        assert line, said
        said += line
    time.sleep(6)
    demo.send_signal(signal.SIGINT)
    stdout, rest = demo.communicate(timeout=90)
    summary = json.loads(stdout)
    assert demo.returncode == 0, said + rest
    assert summary["ok"]
    assert 4 < summary["traffic"]["seconds"] < 30
    assert list(temporary.iterdir()) == []


def test_ctrl_c_before_there_is_traffic_just_stops(temporary: Path) -> None:
    demo = start_demo(temporary)
    assert demo.stderr is not None
    assert "starting in" in demo.stderr.readline()
    demo.send_signal(signal.SIGINT)
    stdout, said = demo.communicate(timeout=60)
    assert (demo.returncode, stdout) == (130, ""), said
    assert list(temporary.iterdir()) == []
