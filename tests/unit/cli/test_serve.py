from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from adctl.cli.root import app

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def replaced(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], dict[str, str]]]:
    """What the process would have been replaced by."""
    calls: list[tuple[list[str], dict[str, str]]] = []
    monkeypatch.setattr(os, "execve", lambda _path, argv, env: calls.append((argv, env)))
    return calls


@pytest.mark.parametrize(
    ("arguments", "module"), [([], "daemons.bidder"), (["flusher"], "daemons.flusher")]
)
def test_serve_becomes_the_daemon(
    replaced: list[tuple[list[str], dict[str, str]]], arguments: list[str], module: str
) -> None:
    assert CliRunner().invoke(app, ["serve", *arguments]).exit_code == 0
    assert replaced[0][0] == [sys.executable, "-P", "-m", module]


def test_serve_passes_the_config_on(
    replaced: list[tuple[list[str], dict[str, str]]], tmp_path: Path
) -> None:
    file = tmp_path / "adctl.toml"
    file.write_text("[bidder]\nport = 9000\n")
    assert CliRunner().invoke(app, ["--config", str(file), "serve"]).exit_code == 0
    assert replaced[0][1]["ADCTL_CONFIG"] == str(file)


def test_a_faulty_config_is_told_before_the_daemon_takes_over(
    replaced: list[tuple[list[str], dict[str, str]]], tmp_path: Path
) -> None:
    file = tmp_path / "adctl.toml"
    file.write_text("[bidder]\nport = 99999\n")
    result = CliRunner().invoke(app, ["--config", str(file), "serve"])
    assert result.exit_code == 4
    assert "bidder.port" in result.output
    assert replaced == []


def test_an_unknown_daemon_is_refused(replaced: list[tuple[list[str], dict[str, str]]]) -> None:
    result = CliRunner().invoke(app, ["serve", "bider"])
    assert result.exit_code == 2
    assert "bidder" in result.output
    assert replaced == []
