"""Which of several signing keys signs: never one that somebody who verifies does not know yet."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_FINGERPRINT_CHARS = 8
SILENT_MS = 10_000
"""Who has told nothing for so long has lost its Redis, or is gone."""


class KeyHolder(msgspec.Struct, frozen=True):
    """A worker that signs or verifies, as it told of itself last.

    ``holds`` has its keys' fingerprints by their ids. ``clock_ms`` is its own clock, ``told_ms``
    Redis', when it told.
    """

    daemon: str
    host: str
    port: int
    slot: int
    parent: int
    pid: int
    holds: dict[int, str]
    signs_with: int
    verifies: bool
    clock_ms: int = 0
    told_ms: int = 0

    @property
    def name(self) -> str:
        """Where it is, as people say it."""
        return f"{self.daemon} on {self.host}:{self.port} (worker {self.slot}, pid {self.pid})"

    def knows(self, key_id: int, mark: str) -> bool:
        """Whether it holds the very key of that id and fingerprint."""
        return self.holds.get(key_id) == mark

    def silent(self, now_ms: int) -> bool:
        """Whether it has told nothing for a while; ``now_ms`` is Redis' clock."""
        return now_ms - self.told_ms > SILENT_MS


def fingerprint(key: bytes) -> str:
    """Return what tells a key from others of the same id, and nothing about it."""
    return hmac.new(key, b"fingerprint", hashlib.sha256).hexdigest()[:_FINGERPRINT_CHARS]


def in_use(holders: Iterable[KeyHolder], now_ms: int) -> list[KeyHolder]:
    """Return the holders that may still be at work, those that are silent among them.

    One that is silent is gone if another tells from its place: a socket has one daemon at a time,
    and a daemon one worker in each slot, but for those that drain, which tell until they end.
    """
    every = list(holders)
    heard = [one for one in every if not one.silent(now_ms)]
    return [one for one in every if not (one.silent(now_ms) and _replaced(one, heard))]


def choose(keys: Mapping[int, bytes], holders: Iterable[KeyHolder]) -> int:
    """Return the id of the key to sign with: the first that everybody who verifies holds.

    Where there is no such key it is the first of all.
    """
    verifying = [holder for holder in holders if holder.verifies]
    for key_id, key in keys.items():
        mark = fingerprint(key)
        if all(holder.knows(key_id, mark) for holder in verifying):
            return key_id
    return next(iter(keys))


def _replaced(silent: KeyHolder, heard: list[KeyHolder]) -> bool:
    place = (silent.daemon, silent.host, silent.port)
    return any(
        place == (one.daemon, one.host, one.port)
        and (one.parent != silent.parent or one.slot == silent.slot)
        for one in heard
    )
