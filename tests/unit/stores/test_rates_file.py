from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from adctl.errors import ConfigError
from adctl.stores.rates_file import RatesFile, read_rates

if TYPE_CHECKING:
    from pathlib import Path


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "rates.toml"
    write(path, 'EUR = "2"', 1)
    return path


def write(path: Path, text: str, modified_sec: int) -> None:
    path.write_text(text)
    os.utime(path, (modified_sec, modified_sec))


def worth(rates: RatesFile) -> int | None:
    return rates.current.to_account_micros(100, "EUR")


def test_rates_are_those_of_the_file(path: Path) -> None:
    assert worth(RatesFile(path, "USD")) == 200


def test_changed_file_is_read_again_within_a_second(path: Path) -> None:
    clock = Clock()
    rates = RatesFile(path, "USD", clock)
    assert worth(rates) == 200
    write(path, 'EUR = "3"', 2)
    assert worth(rates) == 200
    clock.now += 1
    assert worth(rates) == 300


@pytest.mark.parametrize("text", ["EUR = 3", "not TOML"])
def test_broken_file_leaves_the_rates_of_before(path: Path, text: str) -> None:
    clock = Clock()
    rates = RatesFile(path, "USD", clock)
    assert worth(rates) == 200
    write(path, text, 2)
    clock.now += 1
    assert worth(rates) == 200
    path.unlink()
    clock.now += 1
    assert worth(rates) == 200
    write(path, 'EUR = "4"', 3)
    clock.now += 1
    assert worth(rates) == 400


@pytest.mark.parametrize("missing", [True, False])
def test_without_a_file_there_is_only_our_currency(tmp_path: Path, missing: bool) -> None:
    rates = RatesFile(tmp_path / "none" if missing else None, "USD")
    assert worth(rates) is None
    assert rates.current.to_account_micros(100, "USD") == 100


def test_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="readable"):
        read_rates(tmp_path / "none", "USD")
