"""The operator's file of exchange rates, followed while it changes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import structlog

from adctl.delivery.currency import Rates, parse_rates
from adctl.errors import ConfigError, Fault
from adctl.text_files import decode_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

log = structlog.get_logger()

_LOOK_EVERY_SEC = 1.0


class RatesFile:
    """The rates in force: those of the file when it was last right. For one thread.

    A file that is broken or missing when first read leaves the account's currency alone; one that
    breaks later leaves the rates of before. Both are logged, once per change of the file.
    """

    def __init__(
        self, path: Path | None, account: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path = path
        self._account = account
        self._clock = clock
        self._rates = Rates(account)
        self._seen: tuple[int, int, int] | None = None
        self._next_look = clock()

    @property
    def current(self) -> Rates:
        """Return the rates to convert by; the file is looked at once a second at most."""
        if self._path is not None and self._clock() >= self._next_look:
            self._next_look = self._clock() + _LOOK_EVERY_SEC
            self._look(self._path)
        return self._rates

    def _look(self, path: Path) -> None:
        seen = _fingerprint(path)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._rates = read_rates(path, self._account)
        except ConfigError as exc:
            log.warning("rates not read, those of before stay", path=str(path), error=str(exc))
        else:
            log.info("rates read", path=str(path), currencies=len(self._rates))


def read_rates(path: Path, account: str) -> Rates:
    """Return the rates in the file. Raises ConfigError with everything that is wrong with it."""
    try:
        text = decode_text(path.read_bytes())
    except (OSError, UnicodeDecodeError) as exc:
        fault = Fault("money.rates_file", str(path), f"a readable file of TOML ({exc})")
        raise ConfigError("exchange rates", [fault]) from exc
    return parse_rates(text, account, f"exchange rates ({path})")


def _fingerprint(path: Path) -> tuple[int, int, int]:
    try:
        status = path.stat()
    except OSError:
        return (0, 0, 0)
    return (status.st_mtime_ns, status.st_size, status.st_ino)
