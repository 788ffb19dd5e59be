"""A worker's keys, with others' announcements made up and its own taken down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from adctl.delivery.advertiser_keys import AdvertiserKeys
from adctl.delivery.signing_keys import KeyHolder, fingerprint
from adctl.delivery.tokens import BidToken, Purpose, Signer
from adctl.errors import ConfigError, StoreUnavailableError
from daemons.key_watch import KeyWatch, Place

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

OLD, NEW = {1: bytes([1] * 32)}, {2: bytes([2] * 32)}
MARKS = {number: fingerprint(key) for number, key in {**OLD, **NEW}.items()}
BID = BidToken("ab" * 12, 1, 2, "default", 1, 1, 1)
NOW_MS = 10**15


class Board:
    """Where everybody tells; the clock of its server is far ahead."""

    def __init__(self) -> None:
        self.others: list[KeyHolder] = []
        self.told: list[KeyHolder] = []
        self.left: list[KeyHolder] = []
        self.signed: dict[int, str] = {}
        self.used: set[str] = set()
        self.away = False

    def tell(self, holder: KeyHolder) -> int:
        if self.away:
            raise StoreUnavailableError("Redis: away")
        self.told.append(holder)
        return NOW_MS

    def leave(self, holder: KeyHolder) -> None:
        self.left.append(holder)

    def all(self, _now_ms: int) -> list[KeyHolder]:
        return [*self.others, *self.told[-1:]]

    def note_signed(self, signed: Mapping[int, str], at_ms: int) -> None:
        assert at_ms == NOW_MS
        self.signed |= signed

    def note_pixels(self, names: Iterable[str], _at_ms: int) -> None:
        self.used |= set(names)

    def retired(self, known: frozenset[str]) -> frozenset[str]:
        return known | {"9.p1"}

    def tracker(self, *ids: int) -> None:
        holds = {number: MARKS[number] for number in ids}
        other = KeyHolder("tracker", "b", 1, 0, 1, 1, holds, 1, verifies=True, told_ms=NOW_MS)
        self.others = [other]


class Worker:
    """A worker whose thread is not started: it beats when it is told to."""

    def __init__(self, board: Board, keys: dict[int, bytes], *, verifies: bool = False) -> None:
        self.board = board
        self.keys: dict[int, bytes] | Exception = keys
        self.signer = Signer(keys)
        self.pixels = AdvertiserKeys(bytes(32), keys) if verifies else None
        place = Place.__new__(Place)
        place.daemon, place.slot, place.host, place.port = "bidder", 0, "a", 2
        holders: Any = board
        self.watch = KeyWatch(place, holders, self, keys, self._read, self.signer, self.pixels)

    def _read(self) -> Mapping[int, bytes]:
        if isinstance(self.keys, Exception):
            raise self.keys
        return self.keys

    def close(self) -> None:
        self.closed = True

    def beat(self) -> None:
        self.watch._beat()


@pytest.fixture
def board() -> Board:
    return Board()


def test_it_signs_with_the_old_key_until_the_tracker_knows_the_new_one(board: Board) -> None:
    board.tracker(1)
    worker = Worker(board, {**NEW, **OLD})
    worker.beat()
    assert worker.signer.signs_with == 1
    board.tracker(1, 2)
    worker.beat()
    assert worker.signer.signs_with == 2
    assert board.signed == MARKS


def test_nothing_is_told_as_signed_that_never_could_sign(board: Board) -> None:
    board.tracker(1)
    Worker(board, {**NEW, **OLD}).beat()
    assert set(board.signed) == {1}
    assert [one.signs_with for one in board.told] == [0, 1]


def test_a_tracker_that_comes_without_the_key_turns_signing_back(board: Board) -> None:
    worker = Worker(board, {**NEW, **OLD})
    worker.beat()
    assert worker.signer.signs_with == 2
    board.tracker(1)
    worker.beat()
    assert worker.signer.signs_with == 1


def test_a_key_that_is_found_later_is_held_and_told_before_it_signs(board: Board) -> None:
    worker = Worker(board, OLD, verifies=True)
    worker.beat()
    token = Signer(NEW).sign(BID)[Purpose.CLICK]
    worker.keys = {**OLD, **NEW}
    worker.beat()
    assert worker.signer.proven(token, Purpose.CLICK) == BID
    assert worker.signer.signs_with == 1
    assert board.told[-1].holds == MARKS
    worker.keys = {**NEW, **OLD}
    worker.beat()
    assert worker.signer.signs_with == 2


@pytest.mark.parametrize("lost", [{}, NEW, ConfigError("the kept secrets", [])], ids=str)
def test_a_key_whose_file_is_lost_verifies_until_the_worker_ends(
    board: Board, lost: dict[int, bytes] | Exception
) -> None:
    token = Signer(OLD).sign(BID)[Purpose.CLICK]
    worker = Worker(board, OLD, verifies=True)
    worker.beat()
    worker.keys = lost
    worker.beat()
    assert worker.signer.proven(token, Purpose.CLICK) == BID


def test_while_redis_is_away_what_signs_stays(board: Board) -> None:
    board.tracker(1)
    worker = Worker(board, {**NEW, **OLD})
    worker.beat()
    board.tracker(1, 2)
    board.away = True
    worker.beat()
    assert worker.signer.signs_with == 1
    board.away = False
    worker.beat()
    assert worker.signer.signs_with == 2


def test_a_worker_that_ends_tells_what_it_signed_and_used_and_leaves(board: Board) -> None:
    worker = Worker(board, OLD, verifies=True)
    worker.beat()
    board.signed.clear()
    assert worker.pixels is not None
    worker.pixels.verify(worker.pixels.key_of(7))
    worker.watch.stop()
    assert (set(board.signed), board.used) == ({1}, {"7.p1"})
    assert [one.daemon for one in board.left] == ["bidder"]
    assert worker.closed


def test_a_tracker_learns_which_pixels_are_retired(board: Board) -> None:
    worker = Worker(board, OLD, verifies=True)
    worker.beat()
    assert worker.pixels is not None
    assert worker.pixels.retired == {"9.p1"}


def test_only_who_has_pixels_to_check_is_said_to_verify(board: Board) -> None:
    Worker(board, OLD).beat()
    Worker(board, OLD, verifies=True).beat()
    assert [one.verifies for one in board.told] == [False, False, True, True]
