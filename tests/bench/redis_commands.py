"""How long single commands keep Redis while something is done, whatever else the machine does."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from adctl.resources import REDIS_SCRIPTS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import redis

    # The beginning of a command, which tells it from others.
    Beginning = tuple[str, ...]

_DIGITS = re.compile(r"\d+")
_MOST = 100_000
_LOGGED_MICROS = 500
_OF_SCRIPTS, _OF_OTHERS = 8, 3
_SCRIPTS = {
    hashlib.sha1(file.read_bytes(), usedforsecurity=False).hexdigest(): file.name
    for file in REDIS_SCRIPTS.glob("*.lua")
}
# Asked by this module; a script sent whole, as it is once and never again; and what costs the same
# whatever there is, and comes so often that some of it is always interrupted.
_NOT_COUNTED = ("CONFIG", "COMMANDLOG", "EVAL", "INFO")


class Slowest(NamedTuple):
    """Commands alike that took Redis the longest, and how long; '' where none took half a ms."""

    name: str
    took_ms: float


def slowest(client: redis.Redis, work: Callable[[], object], rounds: int = 3) -> Slowest:
    """Do the work a few times; return the slowest single command of it.

    What a command takes is what it took in its quickest round: now and then each is interrupted. So
    ``work`` has to be the same every time. For a Valkey that nobody else uses.
    """
    client.config_set("commandlog-slow-execution-max-len", _MOST)
    client.config_set("commandlog-execution-slower-than", _LOGGED_MICROS)
    try:
        found = [_round(client, work) for _ in range(rounds)]
    finally:
        client.config_set("commandlog-execution-slower-than", -1)
    always = set.intersection(*map(set, found))
    took = {one: min(of[one] for of in found) for one in always}
    if not took:
        return Slowest("", 0.0)
    worst = max(took, key=lambda one: took[one])
    return Slowest(_name(worst), took[worst] / 1000)


def _round(client: redis.Redis, work: Callable[[], object]) -> Mapping[Beginning, int]:
    client.execute_command("COMMANDLOG", "RESET", "slow")
    work()
    entries: Any = client.execute_command("COMMANDLOG", "GET", "-1", "slow")
    took: dict[Beginning, int] = {}
    for entry in entries:
        command = entry[3]
        name = command[0].upper()
        if name not in _NOT_COUNTED:
            one = tuple(command[: _OF_SCRIPTS if name == "EVALSHA" else _OF_OTHERS])
            took[one] = max(took.get(one, 0), int(entry[2]))
    return took


def _name(command: Beginning) -> str:
    if command[0].upper() == "EVALSHA":
        return _SCRIPTS.get(command[1], "another script")
    return " ".join([command[0].upper(), *(_DIGITS.sub("N", key) for key in command[1:2])])
