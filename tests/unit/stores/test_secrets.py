from __future__ import annotations

import os
import stat
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING

import pytest

from adctl.config import Settings, load_settings
from adctl.errors import ConfigError
from adctl.stores.secrets import Signing, load_signing, read_signing_keys

if TYPE_CHECKING:
    from pathlib import Path


def settings_for(folder: Path, **signing: str) -> Settings:
    return load_settings(overrides={"state_dir": folder, "signing": signing})


def load_in(folder: Path) -> Signing:
    return load_signing(settings_for(folder))


def test_made_once_and_kept(tmp_path: Path) -> None:
    first = load_in(tmp_path)
    assert load_in(tmp_path) == first
    assert [len(key) for key in (*first.keys.values(), first.user_key)] == [32, 32]
    assert first.user_key not in first.keys.values()


def test_kept_secrets_are_their_owners_alone(tmp_path: Path) -> None:
    load_in(tmp_path)
    folder = tmp_path / "secrets"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {"signing-1.hex": 0o600, "signs_with": 0o600, "user.hex": 0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_programs_that_start_at_once_agree(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        found = list(pool.map(load_in, [tmp_path] * 8))
    assert found == [found[0]] * 8


def test_configured_keys_come_first(tmp_path: Path) -> None:
    keys = f"2:{'ab' * 32},1:{'cd' * 32}"
    signing = load_signing(settings_for(tmp_path, keys=keys, user_key="ef" * 32))
    assert list(signing.keys.items()) == [(2, b"\xab" * 32), (1, b"\xcd" * 32)]
    assert signing.user_key == b"\xef" * 32
    assert not (tmp_path / "secrets").exists()


def test_the_configured_key_that_signs_need_not_stand_first(tmp_path: Path) -> None:
    keys = f"2:{'ab' * 32},1:{'cd' * 32}"
    assert list(load_signing(settings_for(tmp_path, keys=keys, signs_with="1")).keys) == [1, 2]


def test_a_key_that_was_put_beside_the_others_does_not_sign(tmp_path: Path) -> None:
    load_in(tmp_path)
    (tmp_path / "secrets" / "signing-10.hex").write_text("ab" * 32)
    (tmp_path / "secrets" / "signing-2.hex").write_text("cd" * 32)
    assert list(load_in(tmp_path).keys) == [1, 10, 2]


def test_in_a_folder_of_before_the_key_of_the_highest_number_signs_and_goes_on(
    tmp_path: Path,
) -> None:
    load_in(tmp_path)
    folder = tmp_path / "secrets"
    (folder / "signs_with").unlink()
    (folder / "signing-2.hex").write_text("cd" * 32)
    assert list(load_in(tmp_path).keys) == [2, 1]
    (folder / "signing-3.hex").write_text("ef" * 32)
    assert list(load_in(tmp_path).keys) == [2, 3, 1]


@pytest.mark.parametrize("told", ["9", "", "two", "1\n2"])
def test_a_note_of_what_signs_that_makes_no_sense_is_a_fault(told: str, tmp_path: Path) -> None:
    load_in(tmp_path)
    (tmp_path / "secrets" / "signs_with").write_text(told)
    with pytest.raises(ConfigError, match="the id of"):
        load_in(tmp_path)


def test_reading_keys_makes_none(tmp_path: Path) -> None:
    assert read_signing_keys(settings_for(tmp_path)) == {}
    assert not (tmp_path / "secrets").exists()


@pytest.mark.parametrize("content", ["", "abc", "zz" * 32])
def test_a_damaged_file_is_a_fault_and_stays(content: str, tmp_path: Path) -> None:
    load_in(tmp_path)
    file = tmp_path / "secrets" / "user.hex"
    file.write_text(content)
    with pytest.raises(ConfigError, match="64 hexadecimal digits"):
        load_in(tmp_path)
    assert file.read_text() == content


def test_a_folder_that_cannot_be_made_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="Not a directory"):
        load_in(tmp_path / "file")


def test_keys_are_not_shown() -> None:
    key = os.urandom(32)
    assert repr(key) not in repr(Signing({1: key}, key))
