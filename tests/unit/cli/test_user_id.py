"""Which user a command is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from adctl.cli.root import app
from adctl.cli.user_id import user_hashes
from adctl.config import Settings
from adctl.delivery.tokens import hash_user

if TYPE_CHECKING:
    from pathlib import Path

IFA = "6d92078a-8246-4ba4-ae5b-76104861e7dc"
KEY = bytes(range(32))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(state_dir=tmp_path, signing={"user_key": KEY.hex()})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("told", "known"),
    [
        ("someone", "someone"),
        (" someone ", "someone"),
        (IFA.upper(), IFA),
        ("UIDAPI.COM:reader", "uidapi.com:reader"),
    ],
)
def test_user_is_known_by_the_hash_that_bids_count_by(
    settings: Settings, told: str, known: str
) -> None:
    assert user_hashes(settings, told)[0] == hash_user(KEY, known)


@pytest.mark.parametrize("command", [("fcap", "show"), ("user", "forget")])
@pytest.mark.parametrize("told", ["null", "00000000-0000-0000-0000-000000000000", "${USER_ID}"])
def test_text_that_stands_for_everybody_without_an_id_is_refused(
    command: tuple[str, str], told: str, tmp_path: Path
) -> None:
    ran = CliRunner().invoke(app, [*command, told], env={"ADCTL_STATE_DIR": str(tmp_path)})
    assert ran.exit_code == 3
    assert f"USER: got {told!r}; expected an id" in ran.output
