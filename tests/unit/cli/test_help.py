from __future__ import annotations

import importlib.util
import subprocess
import sys
from typing import Any

import pytest
import typer

from adctl.cli.root import NOUNS, app, load_noun


def leaf_commands(command: Any, path: tuple[str, ...]) -> list[tuple[str, Any]]:
    if not hasattr(command, "commands"):
        return [(" ".join(path), command)]
    return [
        leaf
        for name, child in command.commands.items()
        for leaf in leaf_commands(child, (*path, name))
    ]


COMMANDS = dict(leaf for noun in NOUNS for leaf in leaf_commands(load_noun(noun), (noun,)))


@pytest.mark.parametrize("noun", NOUNS)
def test_every_noun_has_a_file_of_its_name(noun: str) -> None:
    assert importlib.util.find_spec(f"adctl.cli.{noun}") is not None


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_ends_its_help_with_an_example(path: str) -> None:
    last_line = COMMANDS[path].help.strip().splitlines()[-1].strip()
    assert last_line.startswith("Example: adctl")
    assert path in last_line


@pytest.mark.parametrize("path", COMMANDS)
def test_every_option_has_help(path: str) -> None:
    options = [p for p in COMMANDS[path].params if p.param_type_name == "option"]
    assert [option.name for option in options if not option.help] == []


@pytest.mark.parametrize("path", COMMANDS)
def test_no_option_has_a_secret_default(path: str) -> None:
    defaults = [str(parameter.default) for parameter in COMMANDS[path].params]
    assert not [default for default in defaults if "://" in default and "@" in default]


def test_help_does_not_load_the_drivers() -> None:
    program = (
        "import sys; from adctl.cli.root import app; "
        "app(['--help'], standalone_mode=False); "
        "print(sorted({'psycopg', 'redis', 'confluent_kafka', 'sqlmodel'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_completion_is_offered() -> None:
    names = {parameter.name for parameter in typer.main.get_command(app).params}
    assert {"install_completion", "show_completion"} <= names
