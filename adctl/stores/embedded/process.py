"""Starting a server's process, knowing it again later, and ending it."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from adctl.stores.embedded.account import Account

_PR_SET_PDEATHSIG = 1
# Looked up before any fork: between fork and exec only the call itself is safe.
_prctl = ctypes.CDLL(None, use_errno=True).prctl if sys.platform == "linux" else None


@dataclass(frozen=True)
class Command:
    """What to run. The environment is complete: nothing is inherited."""

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str] = field(default_factory=dict)
    account: Account | None = None


def spawn(
    command: Command, log: Path, lock: int, death_signal: signal.Signals | None
) -> subprocess.Popen[bytes]:
    """Start ``command``, its output appended to ``log``; it inherits the descriptor ``lock``.

    It leads a session of its own, so that Ctrl-C in a terminal reaches whoever supervises it and
    not the server. With a ``death_signal`` the kernel sends it that signal when the *thread* that
    called this ends (Linux): call from a thread that lives as long as the server should.
    """
    account = command.account
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return subprocess.Popen(  # noqa: S603 - our own binaries and arguments
            command.argv,
            cwd=command.cwd,
            env=dict(command.env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=(lock,),
            start_new_session=True,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            preexec_fn=_follow_parent(death_signal) if death_signal and _prctl else None,  # noqa: PLW1509 - one system call
        )
    finally:
        os.close(output)


def _follow_parent(death_signal: signal.Signals) -> Callable[[], None]:
    # A change of uid clears the death signal; preexec_fn runs after it.
    number, parent = int(death_signal), os.getpid()

    def follow() -> None:
        if _prctl is not None:
            _prctl(_PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:
            os._exit(1)  # the parent died before the kernel was told to watch it

    return follow


def find(pid: int, identity: str) -> psutil.Process | None:
    """Return the live process ``pid`` if its command line contains ``identity``, else None.

    A recorded pid may have been given to an unrelated process meanwhile.
    """
    if not pid or not identity:
        return None
    try:
        process = psutil.Process(pid)
        if identity in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
            return process
    except psutil.Error:
        pass
    return None


def search(identity: str) -> psutil.Process | None:
    """Return the live process whose command line contains ``identity``, if there is one."""
    found = (find(pid, identity) for pid in psutil.pids())
    return next(filter(None, found), None)


def end(process: psutil.Process, steps: Sequence[tuple[signal.Signals, float]]) -> None:
    """Send the signals of ``steps``, waiting each one's seconds, then SIGKILL, until it is gone."""
    for number, wait_sec in (*steps, (signal.SIGKILL, 10.0)):
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            return
        if _gone_within(process, wait_sec):
            return


def _gone_within(process: psutil.Process, wait_sec: float) -> bool:
    # A zombie is gone: in a container nobody may ever collect a server whose parent has ended.
    deadline = time.monotonic() + wait_sec
    while time.monotonic() < deadline:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.01)
    return False
