"""What workers tell each other, and `adctl key`, of the keys they hold: in Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from adctl.delivery.signing_keys import KeyHolder
from adctl.stores import keys
from adctl.stores.redis import Script, redis_errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import redis

log = structlog.get_logger()

FORGOTTEN_AFTER_MS = 3_600_000
"""Who has told nothing for so long is taken for gone."""

_SIGNED, _PIXEL = "signed", "pixel"
_TELL = Script("tell_keys")


class KeyUse(msgspec.Struct, frozen=True):
    """When a key was last used; ``fingerprint`` is empty where it is an advertiser's.

    ``name`` is a signing key's id, or an advertiser's key's name.
    """

    name: str
    fingerprint: str
    at_ms: int


class KeyHolders:
    """Who holds which keys, and when each was last used. Raises StoreUnavailableError.

    Safe to share between threads.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client

    def now_ms(self) -> int:
        """Return the clock of the server that has the holders, which all their times are of."""
        return int(_TELL.run(self._redis, [keys.KEY_HOLDERS], ["", ""]))

    def tell(self, holder: KeyHolder) -> int:
        """Say what a worker holds; return the same clock."""
        told = msgspec.json.encode(holder)
        return int(_TELL.run(self._redis, [keys.KEY_HOLDERS], [_field(holder), told]))

    def leave(self, holder: KeyHolder) -> None:
        """Say that a worker holds nothing any more."""
        with redis_errors("tell of keys"):
            self._redis.hdel(keys.KEY_HOLDERS, _field(holder))

    def all(self, now_ms: int) -> list[KeyHolder]:
        """Return who has told of itself, and forget those of long ago."""
        with redis_errors("ask who holds keys"):
            told = self._redis.hgetall(keys.KEY_HOLDERS)
            found = {str(field): _read(str(field), str(text)) for field, text in told.items()}
            gone = [
                field
                for field, holder in found.items()
                if holder is None or now_ms - holder.told_ms > FORGOTTEN_AFTER_MS
            ]
            if gone:
                self._redis.hdel(keys.KEY_HOLDERS, *gone)
        return [holder for field, holder in found.items() if holder and field not in gone]

    def note_signed(self, signed: Mapping[int, str], at_ms: int) -> None:
        """Say that these keys (id → fingerprint) were ready to sign until then."""
        self._note([f"{_SIGNED}/{key_id}/{mark}" for key_id, mark in signed.items()], at_ms)

    def note_pixels(self, names: Iterable[str], at_ms: int) -> None:
        """Say that advertisers' keys were used then, by their names."""
        self._note([f"{_PIXEL}/{name}" for name in names], at_ms)

    def uses_since(self, at_ms: int) -> list[KeyUse]:
        """Return the uses of keys at that moment or later, oldest first."""
        with redis_errors("ask when keys were used"):
            found: Any = self._redis.zrangebyscore(keys.KEY_USES, at_ms, "+inf", withscores=True)
        return [_use(str(member), int(score)) for member, score in found]

    def retired(self, known: frozenset[str]) -> frozenset[str]:
        """Return the names of advertisers' keys that do not count, those that were known included.

        A Redis that lost its memory takes none back.
        """
        with redis_errors("ask for retired keys"):
            # The set only grows: as many are the same.
            if self._redis.scard(keys.RETIRED_PIXELS) in (0, len(known)):
                return known
            return known | {str(name) for name in self._redis.smembers(keys.RETIRED_PIXELS)}

    def retire(self, names: list[str]) -> None:
        """Have advertisers' keys of these names not count any more."""
        with redis_errors("retire keys"):
            if names:
                self._redis.sadd(keys.RETIRED_PIXELS, *names)

    def retired_count(self) -> int:
        """Return how many retired keys Redis knows of."""
        with redis_errors("count retired keys"):
            return int(self._redis.scard(keys.RETIRED_PIXELS))

    def _note(self, members: list[str], at_ms: int) -> None:
        if members:
            with redis_errors("tell of keys"):
                self._redis.zadd(keys.KEY_USES, dict.fromkeys(members, at_ms), gt=True)


def _field(holder: KeyHolder) -> str:
    return f"{holder.daemon}/{holder.host}/{holder.port}/{holder.parent}/{holder.pid}"


def _read(field: str, text: str) -> KeyHolder | None:
    told_ms, _, told = text.partition(" ")
    try:
        holder = msgspec.json.decode(told, type=KeyHolder)
        return msgspec.structs.replace(holder, told_ms=int(told_ms))
    except ValueError as exc:
        log.warning("what a worker told of its keys cannot be read", worker=field, error=str(exc))
        return None


def _use(member: str, at_ms: int) -> KeyUse:
    kind, _, rest = member.partition("/")
    if kind == _PIXEL:
        return KeyUse(rest, "", at_ms)
    key_id, _, mark = rest.partition("/")
    return KeyUse(key_id, mark, at_ms)
