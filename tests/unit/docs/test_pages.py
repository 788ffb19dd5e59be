"""What the pages name exists: files, modules, links, headings; and the index misses no page."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from adctl.config_presets import PRESETS

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")),
    *sorted(DOCS.rglob("*.md")),
]
DECISIONS = sorted((DOCS / "decisions").iterdir())

_LINK = re.compile(r"(?<!`)\]\(([^()\s]+)\)")
_PATH = re.compile(r"(?:adctl|daemons|sql|tests|docs|deploy)/[\w./-]*[\w/]")
_MODULE = re.compile(r"\b(?:adctl|daemons)\.[a-z_][\w.]*\w")
_NOT_MODULES = {"adctl.toml"}


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def inline_code(page: Path) -> list[str]:
    prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    return re.findall(r"`([^`]+)`", prose)


def headings(page: Path) -> set[str]:
    titles = re.findall(r"^#+ +(.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_internal_link_leads_somewhere(page: Path) -> None:
    dead = []
    for link in _LINK.findall(page.read_text()):
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in headings(target)):
            dead.append(link)
    assert dead == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_file_named_exists(page: Path) -> None:
    named = {
        match.group()
        for code in inline_code(page)
        for match in [_PATH.fullmatch(code.removeprefix("./").rstrip("/"))]
        if match
    }
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_module_named_exists(page: Path) -> None:
    named = {
        code for code in inline_code(page) if _MODULE.fullmatch(code) and code not in _NOT_MODULES
    }
    assert [module for module in sorted(named) if not is_importable(module)] == []


def is_importable(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_script_named_exists(page: Path) -> None:
    named = {code for code in inline_code(page) if re.fullmatch(r"\w+\.lua", code)}
    scripts = {path.name for path in (ROOT / "adctl" / "stores" / "scripts").iterdir()}
    assert named - scripts == set()


def test_every_page_the_code_names_exists() -> None:
    sources = [*ROOT.glob("adctl/**/*.py"), *ROOT.glob("daemons/**/*.py"), ROOT / "config.toml"]
    named = {page for file in sources for page in re.findall(r"docs/[\w/-]+\.md", file.read_text())}
    assert named
    assert [page for page in sorted(named) if not (ROOT / page).exists()] == []


def test_the_index_lists_every_page() -> None:
    index = DOCS / "README.md"
    listed = {(DOCS / link).resolve() for link in _LINK.findall(index.read_text())}
    assert [name_of(page) for page in DOCS.rglob("*.md") if page not in {index, *listed}] == []


def test_decisions_are_numbered_without_a_gap() -> None:
    numbers = [int(re.match(r"(\d{4})-[a-z0-9-]+\.md$", page.name)[1]) for page in DECISIONS]
    assert numbers == list(range(1, len(DECISIONS) + 1))


@pytest.mark.parametrize("page", DECISIONS, ids=name_of)
def test_a_decision_carries_its_number(page: Path) -> None:
    assert page.read_text().startswith(f"# {int(page.name[:4])}. ")


def test_the_picture_keeps_its_text_as_text() -> None:
    picture = (DOCS / "architecture.svg").read_text()
    for name in ("bidder", "tracker", "flusher", "consumer", "pacer", "api", "PostgreSQL", "Kafka"):
        assert f">{name}" in picture
    assert "prefers-color-scheme: dark" in picture


def test_every_preset_is_in_the_table_of_exchanges() -> None:
    page = (DOCS / "exchanges.md").read_text()
    for name, preset in PRESETS.items():
        cells = (preset.exchange, preset.price_encoding, preset.price_unit)
        row = f"| `{name}` | {' | '.join(cells)} | `{preset.price_macro}` | "
        assert row in page
        [line] = [line for line in page.splitlines() if line.startswith(row)]
        assert all(address in line for address in preset.pages)
