from __future__ import annotations

import os
import subprocess
import sys
import types
from typing import TYPE_CHECKING

import pytest
import typer
from typer.testing import CliRunner, Result

from adctl import __version__
from adctl.cli import root
from adctl.cli.context import settings_of
from adctl.errors import Fault, FaultyInputError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., None]], Result]:
    """Mount a function as ``adctl probe`` and run it."""

    def mount_and_run(command: Callable[..., None], *options: str) -> Result:
        probe = types.ModuleType("adctl.cli.probe")
        probe.app = typer.Typer()
        probe.app.command()(command)
        monkeypatch.setitem(sys.modules, "adctl.cli.probe", probe)
        monkeypatch.setitem(root.NOUNS, "probe", "For tests.")
        return CliRunner().invoke(root.app, [*options, "probe"])

    return mount_and_run


def test_an_error_becomes_its_message_and_exit_code(run: Callable[..., Result]) -> None:
    def command() -> None:
        raise NotFoundError("campaign 7 does not exist")

    result = run(command)
    assert result.exit_code == 5
    assert result.stderr == "error: campaign 7 does not exist\n"
    assert result.stdout == ""


def test_all_faults_of_an_input_are_shown(run: Callable[..., Result]) -> None:
    def command() -> None:
        faults = [Fault("name", "", "a name"), Fault("daily_budget", "-5", "an amount above 0")]
        raise FaultyInputError("the campaign", faults)

    result = run(command)
    assert result.exit_code == 3
    assert "name: got ''; expected a name" in result.stderr
    assert "daily_budget: got '-5'; expected an amount above 0" in result.stderr


def test_a_bug_is_told_without_a_traceback(run: Callable[..., Result]) -> None:
    def command() -> None:
        raise ZeroDivisionError("oops")

    result = run(command)
    assert result.exit_code == 1
    assert "ZeroDivisionError: oops" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_bug_is_told_with_a_traceback_when_asked(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    def command() -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setenv("ADCTL_DEBUG", "1")
    assert "Traceback" in run(command).stderr


def test_ctrl_c_exits_with_130_and_says_nothing(run: Callable[..., Result]) -> None:
    def command() -> None:
        raise KeyboardInterrupt

    result = run(command)
    assert (result.exit_code, result.output) == (130, "")


def test_an_exit_asked_for_by_a_command_is_kept(run: Callable[..., Result]) -> None:
    def command() -> None:
        raise typer.Exit(42)

    assert run(command).exit_code == 42


def test_config_reaches_the_command(run: Callable[..., Result], tmp_path: Path) -> None:
    file = tmp_path / "adctl.toml"
    file.write_text("[bidder]\nport = 1234\n")

    def command(ctx: typer.Context) -> None:
        typer.echo(settings_of(ctx).bidder.port)

    assert run(command, "--config", str(file)).stdout == "1234\n"


def test_version_is_told() -> None:
    assert CliRunner().invoke(root.app, ["--version"]).stdout == f"adctl {__version__}\n"


def test_an_unknown_command_exits_with_2() -> None:
    assert CliRunner().invoke(root.app, ["campain"]).exit_code == 2


def test_a_closed_pipe_ends_quietly() -> None:
    # Enough output to outgrow the pipe whatever its size.
    program = (
        "import sys, types, typer; from adctl.cli import root; "
        "probe = types.ModuleType('adctl.cli.probe'); probe.app = typer.Typer(); "
        "probe.app.command()(lambda: sys.stdout.write('x\\n' * 500_000)); "
        "sys.modules['adctl.cli.probe'] = probe; root.NOUNS['probe'] = ''; root.app(['probe'])"
    )
    with subprocess.Popen(
        # Unbuffered, Python itself drops the rest of a write cut short and notices nothing.
        [sys.executable, "-c", program],
        env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        complaint = process.stderr.read()
    assert (process.returncode, complaint) == (141, "")


INTERRUPTED_WHILE_IT_LOADS = """
import builtins, os, signal
load = builtins.__import__
def interrupted(name, *how):
    if name == "adctl.cli.root":
        os.kill(os.getpid(), signal.SIGINT)
    return load(name, *how)
builtins.__import__ = interrupted
import adctl.__main__
"""


def test_ctrl_c_while_the_program_is_loaded_is_130_and_says_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_WHILE_IT_LOADS],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
