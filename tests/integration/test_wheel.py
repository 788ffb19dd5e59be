"""The built wheel works by itself, away from the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Run = Callable[..., subprocess.CompletedProcess[str]]

CHECKOUT = Path(__file__).parents[2]

# The dependencies come from this environment, without a network. Its .pth files are not read, so
# that the checkout it was installed from cannot be reached.
BORROW = "import sys; sys.path.append({site!r})\n"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=CHECKOUT,
        capture_output=True,
        check=True,
    )
    return next(folder.glob("adctl-*.whl"))


@pytest.fixture(scope="module")
def adctl(wheel: Path, state_dir: Path) -> Iterator[Run]:
    """Run the ``adctl`` of an environment that holds the wheel alone, in an empty folder."""
    environment = state_dir / "venv"
    venv.create(environment)
    pip = [sys.executable, "-m", "pip", "--python", str(environment / "bin" / "python")]
    install = ["install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run([*pip, *install], check=True, capture_output=True)
    site = next(environment.glob("lib/python*/site-packages"))
    borrowed = Path(pytest.__file__).parents[1]
    (site / "borrowed.pth").write_text(BORROW.format(site=str(borrowed)))
    empty = state_dir / "empty"
    empty.mkdir()

    def run(*arguments: str, program: str = "adctl") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [environment / "bin" / program, *arguments],
            cwd=empty,
            env={"ADCTL_STATE_DIR": str(state_dir / "wheel"), "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=False,
        )

    yield run
    run("stack", "stop")
    assert list(empty.iterdir()) == []


def test_what_is_read_at_run_time_is_in_the_wheel(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    for folder, target in (
        ("sql", "adctl/bundled/sql"),
        ("adctl", "adctl"),
        ("daemons", "daemons"),
    ):
        files = [path for path in (CHECKOUT / folder).rglob("*") if path.is_file()]
        wanted = [
            path for path in files if path.suffix in {".sql", ".lua", ".py", ".toml", ".html"}
        ]
        names = {f"{target}/{path.relative_to(CHECKOUT / folder)}" for path in wanted}
        assert names - inside == set()
    assert "adctl/bundled/config.toml" in inside


def test_the_wheel_holds_nothing_else(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"adctl", "daemons"}


def test_the_installed_program_is_not_the_checkouts(adctl: Run) -> None:
    program = "import adctl, daemons; print(adctl.__file__, daemons.__file__)"
    found = adctl("-c", program, program="python")
    assert found.returncode == 0, found.stderr
    assert str(CHECKOUT) not in found.stdout


def test_the_installed_program_does_the_first_steps(adctl: Run) -> None:
    before = adctl("doctor", "--output", "json")
    outcomes = {finding["check"]: finding["outcome"] for finding in json.loads(before.stdout)}
    assert (before.returncode, outcomes["configuration"], outcomes["redis"]) == (8, "ok", "FAIL")

    assert adctl("stack", "start").returncode == 0
    migrated = adctl("db", "migrate", "--output", "json")
    assert migrated.returncode == 0, migrated.stderr
    expected = sorted(path.stem for path in (CHECKOUT / "sql" / "migrations").glob("*.sql"))
    assert [row["migration"] for row in json.loads(migrated.stdout)] == expected

    after = adctl("doctor", "--output", "json")
    assert (after.returncode, after.stderr) == (0, "")
    assert adctl("stack", "stop").returncode == 0
