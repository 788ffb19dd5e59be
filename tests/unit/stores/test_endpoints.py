from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from adctl.config import Settings, load_settings
from adctl.errors import StoreUnavailableError
from adctl.stores.embedded.state import (
    ServerRecord,
    StackRecord,
    acquire,
    save_record,
    server_lock,
)
from adctl.stores.endpoints import Endpoints, resolve, resolve_redis, stack_folder

if TYPE_CHECKING:
    from pathlib import Path

CONFIGURED = {
    "postgres": {"url": "postgresql://u:p@db/x"},
    "redis": {"url": "redis://:p@cache:6379/0"},
    "kafka": {"bootstrap": "broker:9092"},
}


def settings_for(folder: Path, *configured: str) -> Settings:
    given = {name: CONFIGURED[name] for name in configured}
    return load_settings(overrides={"state_dir": folder, **given})


def remember(settings: Settings) -> None:
    folder = stack_folder(settings)
    folder.mkdir(parents=True)
    servers = [ServerRecord(port, password=word) for port, word in [(1, "a"), (2, "b"), (3, "")]]
    save_record(folder, StackRecord("127.0.0.1", *servers))


def test_configured_addresses_need_no_stack(tmp_path: Path) -> None:
    found = resolve(settings_for(tmp_path, "postgres", "redis", "kafka"))
    assert found == Endpoints("postgresql://u:p@db/x", "redis://:p@cache:6379/0", "broker:9092")


def test_without_a_stack_the_user_is_told_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailableError, match="`adctl stack start`"):
        resolve(settings_for(tmp_path))


def test_a_stopped_stack_is_not_taken_for_a_running_one(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    remember(settings)
    with pytest.raises(StoreUnavailableError, match="not running"):
        resolve(settings)


def test_what_is_not_configured_comes_from_the_running_stack(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, "postgres", "kafka")
    remember(settings)
    lock = acquire(server_lock(stack_folder(settings), "valkey"))
    try:
        assert resolve(settings).redis_url == "redis://:b@127.0.0.1:2/0"
    finally:
        os.close(lock)
    with pytest.raises(StoreUnavailableError, match="valkey"):
        resolve_redis(settings)


def test_passwords_stay_out_of_repr(tmp_path: Path) -> None:
    found = resolve(settings_for(tmp_path, "postgres", "redis", "kafka"))
    assert ":p@" not in repr(found)
