"""Every command is on a page, and every command line people are shown parses."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from adctl.cli.root import NOUNS, app, load_noun

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

# Files that examples name and that people have of their own.
_OWN_FILES = ("adctl.toml", "targeting.toml", "banner.html", "box.html")


def leaves(command: Any, path: tuple[str, ...]) -> dict[str, Any]:
    if not hasattr(command, "commands"):
        return {" ".join(path): command}
    return {
        name: leaf
        for word, child in command.commands.items()
        for name, leaf in leaves(child, (*path, word)).items()
    }


COMMANDS = {path: leaf for noun in NOUNS for path, leaf in leaves(load_noun(noun), (noun,)).items()}


def example_of(command: Any) -> str:
    (line,) = re.findall(r"^\s*Example: (.+)$", command.help, re.MULTILINE)
    return line


def shown_lines(page: Path) -> list[str]:
    """Return the command lines of a page's code blocks."""
    blocks = re.findall(r"```(?:sh|console|bash)\n(.*?)```", page.read_text(), re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line.removeprefix("$ ") for line in lines if re.match(r"(\$ )?adctl ", line)]


def named_inline(page: Path) -> list[str]:
    prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    return [" ".join(code.split()) for code in re.findall(r"`(adctl [^`]+)`", prose)]


SHOWN = [(page.name, line) for page in PAGES for line in shown_lines(page)]
NAMED = sorted({(page.name, code) for page in PAGES for code in named_inline(page)})


def parse(line: str) -> None:
    """Parse a command line as the shell and adctl would. Raises a usage error."""
    words = shlex.split(re.split(r"\s[|>&]", line)[0], comments=True)
    assert words[0] == "adctl"
    command, context, rest = typer.main.get_command(app), None, words[1:]
    while hasattr(command, "commands"):
        context = command.make_context(command.name, rest, parent=context)
        rest = [*context._protected_args, *context.args]
        _, command, rest = command.resolve_command(context, rest)
    command.make_context(command.name, rest, parent=context)


@pytest.fixture(autouse=True)
def _own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in _OWN_FILES:
        (tmp_path / name).touch()
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_s_example_parses(path: str) -> None:
    line = example_of(COMMANDS[path])
    parse(line)
    assert path in " ".join(shlex.split(line))


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_is_on_a_page(path: str) -> None:
    texts = (" ".join(page.read_text().split()) for page in PAGES)
    assert any(re.search(rf"adctl (--\S+ \S+ )?{path}\b", text) for text in texts)


@pytest.mark.parametrize(("page", "line"), SHOWN, ids=lambda value: value[:60])
def test_every_command_line_on_a_page_parses(page: str, line: str) -> None:
    parse(line)


@pytest.mark.parametrize(("page", "code"), NAMED, ids=lambda value: value[:60])
def test_every_command_named_in_prose_exists(page: str, code: str) -> None:
    command, words = typer.main.get_command(app), code.split()[1:]
    for word in words:
        if not hasattr(command, "commands") or not re.fullmatch(r"[a-z]+", word):
            break
        assert word in command.commands
        command = load_noun(word) if word in NOUNS and word == words[0] else command.commands[word]


def test_the_reference_lists_every_command_with_its_help() -> None:
    page = (ROOT / "docs" / "commands.md").read_text()
    rows = dict(re.findall(r"^\| `adctl (.+?)` \| (.+) \|$", page, re.MULTILINE))
    assert rows == {
        path: " ".join(leaf.help.strip().split("\n\n")[0].split())
        for path, leaf in COMMANDS.items()
    }
