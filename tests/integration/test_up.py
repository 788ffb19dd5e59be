"""``adctl up`` as people and service managers run it: a process, its signals, its children."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.demo, pytest.mark.timeout(180)]

DAEMONS = ("bidder", "tracker", "api", "flusher", "consumer", "pacer")
UP_SEC = 90


class Up:
    """A running ``adctl up`` on a folder and ports of its own."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("ADCTL_")},
            **{f"ADCTL_{name.upper()}_PORT": "0" for name in DAEMONS},
            "ADCTL_STATE_DIR": str(folder),
            **environment,
        }
        self.output = folder / "output.txt"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "adctl", "up"],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    @property
    def said(self) -> str:
        return self.output.read_text()

    def wait_for(self, what: str, said: Callable[[], bool]) -> None:
        deadline = time.monotonic() + UP_SEC
        while not said():
            if self.process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"no {what} from adctl up, which said:\n{self.said}")
            time.sleep(0.05)

    def wait_until_ready(self) -> Up:
        self.wait_for("readiness", lambda: "next, in another terminal" in self.said)
        return self

    def port(self, daemon: str) -> int:
        line = next(line for line in self.said.splitlines() if f"{daemon} is ready on" in line)
        return int(line.partition("127.0.0.1:")[2].split()[0])

    def ready(self, daemon: str) -> bool:
        url = f"http://127.0.0.1:{self.port(daemon)}/health/ready"
        try:
            with urllib.request.urlopen(url, timeout=3) as answer:
                return bool(answer.status == 200 and json.load(answer)["status"] == "ready")
        except OSError:
            return False

    def wait_for_daemons(self) -> None:
        """Wait until all are ready; else say which is not, and what it says and logs."""
        deadline = time.monotonic() + UP_SEC
        while missing := [daemon for daemon in DAEMONS if not self.ready(daemon)]:
            if time.monotonic() > deadline:
                told = "\n".join(self.state_of(daemon) for daemon in missing)
                pytest.fail(f"not ready: {told}\nadctl up said:\n{self.said}")
            time.sleep(0.05)

    def state_of(self, daemon: str) -> str:
        url = f"http://127.0.0.1:{self.port(daemon)}/health/ready"
        try:
            with urllib.request.urlopen(url, timeout=3) as answer:
                told = answer.read().decode()
        except urllib.error.HTTPError as exc:
            told = f"{exc.code} {exc.read().decode()}"
        except OSError as exc:
            told = repr(exc)
        logs = sorted(self.folder.rglob(f"{daemon}*.log"))
        ends = [f"{log}:\n{log.read_text(errors='replace')[-3000:]}" for log in logs]
        return "\n".join([f"{daemon}: {told}", *ends])

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def child(self, name: str) -> psutil.Process:
        return next(c for c in self.children() if name in " ".join(c.cmdline()))

    def again(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "adctl", "up"],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


def gone_within(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Return those that still run; a zombie, which nobody may ever collect, does not."""
    deadline = time.monotonic() + seconds
    left = processes
    while left and time.monotonic() < deadline:
        left = [process for process in left if _runs(process)]
        time.sleep(0.05)
    return left


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it ended between the two
        return False


@pytest.fixture(scope="module")
def make_folder() -> Iterator[Callable[[], Path]]:
    folders: list[Path] = []

    def make() -> Path:
        folder = Path(tempfile.mkdtemp(prefix="adctl-up-"))
        folder.chmod(0o711)
        folders.append(folder)
        return folder

    yield make
    for folder in folders:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def up(make_folder: Callable[[], Path]) -> Iterator[Up]:
    running = Up(make_folder())
    try:
        yield running.wait_until_ready()
    finally:
        running.process.terminate()
        running.process.wait(60)


def test_up_brings_everything_up_and_says_where(up: Up) -> None:
    assert [daemon for daemon in DAEMONS if not up.ready(daemon)] == []
    assert f"POST http://127.0.0.1:{up.port('bidder')}/bid-request" in up.said


def test_a_second_up_on_the_folder_says_who_has_it(up: Up) -> None:
    second = up.again()
    assert second.returncode == 6
    assert f"in use by another adctl (pid {up.process.pid})" in second.stderr
    assert up.ready("bidder")


def test_ctrl_c_in_a_terminal_reaches_the_supervisor_alone(up: Up) -> None:
    own = os.getsid(up.process.pid)
    assert [c for c in up.children() if os.getsid(c.pid) == own] == []


@pytest.mark.parametrize("name", ["flusher", "tracker", "valkey", "postgres", "kafka"])
def test_what_is_killed_comes_back(up: Up, name: str) -> None:
    marks = {"valkey": "valkey.conf", "postgres": "pgdata", "kafka": "tansu"}
    killed = up.child(marks.get(name, f"daemons.{name}"))
    killed.kill()
    up.wait_for("restart", lambda: up.said.count(f"{name} was started again") == 1)
    up.wait_for_daemons()
    assert up.child(marks.get(name, f"daemons.{name}")).pid != killed.pid


def test_sigterm_ends_everything_and_is_a_success(up: Up) -> None:
    children = up.children()
    assert len(children) >= 9
    up.process.terminate()
    assert up.process.wait(60) == 0
    assert gone_within(children, 0.5) == []
    assert "Everything has stopped" in up.said


def test_nothing_outlives_a_killed_supervisor_and_a_successor_can_start(
    make_folder: Callable[[], Path],
) -> None:
    folder = make_folder()
    killed = Up(folder).wait_until_ready()
    children = killed.children()
    killed.process.kill()
    killed.process.wait()
    successor = Up(folder)
    try:
        assert gone_within(children, 10) == []
        successor.wait_until_ready()
        assert successor.ready("bidder")
    finally:
        successor.process.send_signal(signal.SIGINT)
        assert successor.process.wait(60) == 0


def test_a_taken_port_is_named_before_anything_starts(make_folder: Callable[[], Path]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        running = Up(make_folder(), ADCTL_TRACKER_PORT=str(port))
        assert running.process.wait(60) == 6
    assert f"tracker: 127.0.0.1:{port} is taken" in running.said
    assert "ADCTL_TRACKER_PORT" in running.said
    assert not (running.folder / "stack").exists()


def test_a_daemon_that_cannot_start_ends_it_all_with_its_words(
    make_folder: Callable[[], Path],
) -> None:
    # Its folder for metrics is a file: the tracker cannot begin.
    folder = make_folder()
    (folder / "metrics").mkdir()
    (folder / "metrics" / "tracker").write_text("")
    running = Up(folder)
    running.wait_for("attempt", lambda: len(running.children()) >= 9)
    children = running.children()
    assert running.process.wait(60) == 8
    assert "error: the tracker ended with status 1" in running.said
    assert str(folder / "logs" / "tracker.log") in running.said
    assert gone_within(children, 0.5) == []
