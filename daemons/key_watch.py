"""A worker's keys while it runs: it tells which it holds, and learns what others hold."""

from __future__ import annotations

import os
import socket
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Protocol

import structlog

from adctl.delivery.signing_keys import KeyHolder, choose, fingerprint, in_use
from adctl.errors import ConfigError, StoreUnavailableError
from adctl.stores.key_holders import KeyHolders
from adctl.stores.redis import connect
from adctl.stores.secrets import read_signing_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from adctl.config import Settings
    from adctl.delivery.advertiser_keys import AdvertiserKeys
    from adctl.delivery.tokens import Signer
    from daemons.gate import Gate

log = structlog.get_logger()

BEAT_SEC = 2.0


class Closeable(Protocol):
    """A connection of the watch's own."""

    def close(self) -> None:
        """Hang up."""


class Place:
    """Where a worker is: what its announcements go by."""

    def __init__(self, daemon: str, gate: Gate, slot: int) -> None:
        self.daemon = daemon
        self.slot = slot
        self.host = socket.gethostname()
        self.port = int(gate.sock.getsockname()[1])


class KeyWatch:
    """A thread that tells every BEAT_SEC which keys a worker holds, and sees what others tell.

    The first key of ``read`` is to sign. Until everybody who verifies holds it, the first one that
    they do hold signs in its place, so that nothing is signed that anybody would refuse, in
    whatever order hosts and workers learn of a key. Keys that ``read`` finds later are held from
    then on; none that was held is dropped before the worker ends, whatever becomes of the file.

    ``pixels`` are those of a worker that verifies. While Redis is away all stays as it was.
    """

    def __init__(
        self,
        place: Place,
        holders: KeyHolders,
        connection: Closeable,
        keys: Mapping[int, bytes],
        read: Callable[[], Mapping[int, bytes]],
        signer: Signer,
        pixels: AdvertiserKeys | None = None,
    ) -> None:
        self._place = place
        self._holders = holders
        self._connection = connection
        self._read = read
        self._signer = signer
        self._pixels = pixels
        self._keys = dict(keys)
        self._signs = False
        # Keys that were ready to sign since that was last told.
        self._signed: set[int] = set()
        self._out = self._faulty = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="key-watch", daemon=True)

    def start(self) -> None:
        """Tell for the first time, then go on in a thread; before anything is signed.

        Returns when what signs is settled, or Redis does not answer.
        """
        self._beat()
        self._signs = True
        self._thread.start()

    def stop(self) -> None:
        """End the thread, say that this worker has ended, and hang up."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        try:
            now_ms = self._tell()
            for _ in range(2):
                self._tell_pixels(now_ms)
            self._holders.leave(self._holder())
        except StoreUnavailableError as exc:
            log.warning("could not tell that the keys are not held any more", error=str(exc))
        self._connection.close()

    def _run(self) -> None:
        while not self._stopping.wait(BEAT_SEC):
            self._beat()

    def _beat(self) -> None:
        try:
            self._learn()
            self._tell_and_choose()
            self._out = False
        except StoreUnavailableError as exc:
            self._log_outage(error=str(exc))
        except Exception as exc:  # noqa: BLE001 - who has stopped telling looks as if it were gone
            self._log_outage(exc_info=exc)

    def _learn(self) -> None:
        try:
            found = self._read()
        except ConfigError as exc:
            if not self._faulty:
                log.warning("keys cannot be read; the last ones stay", error=str(exc))
            self._faulty = True
            return
        self._faulty = False
        # Another secret under an id that is held is for the next reload: what was signed is out.
        kept = {key_id: self._keys.get(key_id, key) for key_id, key in found.items()}
        keys = {**kept, **{n: key for n, key in self._keys.items() if n not in kept}}
        if list(keys) != list(self._keys):
            self._keys = keys
            # What signs is for _tell_and_choose to say.
            self._sign_with(self._signer.signs_with)

    def _tell_and_choose(self) -> None:
        now_ms = self._tell()
        chosen = choose(self._keys, in_use(self._holders.all(now_ms), now_ms))
        before = self._signer.signs_with
        if chosen != before:
            wanted = next(iter(self._keys))
            log.info("signs with another key", key=chosen, known_to_all=chosen == wanted)
            self._sign_with(chosen)
        if chosen != before or not self._signs:
            self._signs = True
            self._tell()
        self._tell_pixels(now_ms)

    def _tell_pixels(self, now_ms: int) -> None:
        if self._pixels is not None:
            self._holders.note_pixels(self._pixels.take_used(), now_ms)
            self._pixels.retired = self._holders.retired(self._pixels.retired)

    def _sign_with(self, key_id: int) -> None:
        if self._signs:
            self._signed.add(self._signer.signs_with)
        self._signer.hold({key_id: self._keys[key_id], **self._keys})
        if self._pixels is not None:
            self._pixels.hold(self._keys)

    def _tell(self) -> int:
        """Say what is held, and what was ready to sign until now; return Redis' clock."""
        now_ms = self._holders.tell(self._holder())
        if self._signs:
            self._signed.add(self._signer.signs_with)
        marks = self._marks()
        # By the clock that is ahead: what is signed has the time of this host.
        until_ms = max(now_ms, _clock_ms())
        self._holders.note_signed({key_id: marks[key_id] for key_id in self._signed}, until_ms)
        self._signed = set()
        return now_ms

    def _holder(self) -> KeyHolder:
        return KeyHolder(
            daemon=self._place.daemon,
            host=self._place.host,
            port=self._place.port,
            slot=self._place.slot,
            parent=os.getppid(),
            pid=os.getpid(),
            holds=self._marks(),
            signs_with=self._signer.signs_with if self._signs else 0,
            verifies=self._pixels is not None,
            clock_ms=_clock_ms(),
        )

    def _marks(self) -> dict[int, str]:
        return {key_id: fingerprint(key) for key_id, key in self._keys.items()}

    def _log_outage(self, **why: object) -> None:
        if not self._out:
            log.warning("keys cannot be told of; those that sign stay", **why)
        self._out = True


def _clock_ms() -> int:
    return time.time_ns() // 1_000_000


def watch_keys(
    place: Place,
    redis_url: str,
    settings: Settings,
    keys: Mapping[int, bytes],
    signer: Signer,
    pixels: AdvertiserKeys | None = None,
) -> KeyWatch:
    """Return a worker's watch, started; stop it when the worker has answered everybody."""
    client = connect(redis_url, settings.redis)
    read = partial(read_signing_keys, settings)
    watch = KeyWatch(place, KeyHolders(client), client, keys, read, signer, pixels)
    watch.start()
    return watch
