"""The spool on a real disk: bounded, in order, and no damage to one event costs another."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adctl.delivery.macros import ToldMacros
from adctl.delivery.tokens import BidToken
from adctl.delivery.tracking import TrackedEvent, track
from adctl.errors import ConflictError
from adctl.models import EventKind
from adctl.stores.spool import Spool

ROOM = 1 << 20
RECORD = 600


def tracked(number: int) -> TrackedEvent:
    token = BidToken(
        bid_id=f"{number:024x}",
        campaign_id=1,
        creative_id=1,
        exchange="default",
        price_cpm_micros=1,
        bid_at_ms=1_700_000_000_000,
        bucket=1,
        user_hash="ab" * 16,
        cap_windows=(3600,),
    )
    return track(
        token, EventKind.IMPRESSION, EventKind.IMPRESSION, ToldMacros("1"), 1_700_000_000_001
    )


EVENTS = [tracked(number) for number in range(200)]


def opened(folder: Path, room: int = ROOM, segment_bytes: int = 4096) -> Spool:
    return Spool(folder, "tracker-0", room, segment_bytes)


def everything(spool: Spool, portion: int = 7) -> list[TrackedEvent]:
    """Take all that waits, by portions."""
    taken: list[TrackedEvent] = []
    while events := spool.peek(portion):
        taken += events
        spool.forget(len(events))
    return taken


def segments(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix != ".lock")


def test_spooled_events_come_back_whole_and_in_order(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    assert spool.append(EVENTS[:3]) == 3
    assert not spool.empty
    assert everything(spool) == EVENTS[:3]
    assert spool.empty
    assert segments(tmp_path) == []
    spool.close()


def test_events_that_were_not_forgotten_are_peeked_at_again(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    spool.append(EVENTS[:5])
    assert list(spool.peek(4)) == EVENTS[:4]
    spool.forget(2)
    assert list(spool.peek(4)) == EVENTS[2:5]
    spool.close()


def test_what_is_left_is_taken_over_by_the_next_process(tmp_path: Path) -> None:
    first = opened(tmp_path)
    first.append(EVENTS[:40])
    first.close()
    second = opened(tmp_path)
    second.append(EVENTS[40:50])
    assert everything(second) == EVENTS[:50]
    second.close()


def test_spool_takes_no_more_than_its_bytes_and_says_how_much_it_took(tmp_path: Path) -> None:
    spool = opened(tmp_path, room=20 * RECORD)
    kept = spool.append(EVENTS)
    assert 0 < kept < len(EVENTS)
    assert spool.append(EVENTS[kept:]) == 0
    assert spool.full
    assert sum(path.stat().st_size for path in segments(tmp_path)) <= 20 * RECORD
    assert everything(spool) == EVENTS[:kept]
    assert spool.append(EVENTS[kept : kept + 1]) == 1
    spool.close()


def test_files_whose_events_were_all_taken_make_room_while_others_wait(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    for event in EVENTS[:60]:
        spool.append([event])
    before, files = spool.size, len(segments(tmp_path))
    assert files > 3
    spool.forget(len(spool.peek(30)))
    spool.forget(len(spool.peek(30)))
    assert spool.size < before
    assert len(segments(tmp_path)) < files
    spool.close()


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_a_torn_end_costs_nothing_that_was_whole(data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        spool = opened(Path(folder), segment_bytes=ROOM)
        spool.append(EVENTS[:5])
        spool.close()
        [path] = segments(Path(folder))
        whole = path.read_bytes()
        cut = data.draw(st.integers(1, len(whole) - 1))
        path.write_bytes(whole[:cut])
        after = opened(Path(folder))
        after.append([EVENTS[9]])
        left = whole[:cut].count(b"\n")
        assert everything(after) == [*EVENTS[:left], EVENTS[9]]
        assert after.damaged == (0 if whole[:cut].endswith(b"\n") else 1)
        after.close()


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_a_damaged_byte_costs_the_event_it_is_in_and_no_other(data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        spool = opened(Path(folder), segment_bytes=ROOM)
        spool.append(EVENTS[:5])
        spool.close()
        [path] = segments(Path(folder))
        content = bytearray(path.read_bytes())
        at = data.draw(st.integers(0, len(content) - 1))
        hit = content[:at].count(b"\n")
        content[at] ^= data.draw(st.integers(1, 255))
        path.write_bytes(content)
        after = opened(Path(folder))
        found = everything(after)
        assert [event for event in EVENTS[:5] if event not in found] in ([], [EVENTS[hit]])
        assert [event for event in EVENTS[:5] if event in found] == found
        after.close()


@settings(deadline=None, max_examples=60)
@given(st.lists(st.one_of(st.integers(1, 40), st.sampled_from(["take", "reopen"])), max_size=40))
def test_whatever_is_appended_taken_and_reopened_all_comes_out_once_and_in_order(
    steps: list[int | str],
) -> None:
    with TemporaryDirectory() as folder:
        spool, appended, taken = opened(Path(folder)), 0, 0
        for step in steps:
            if isinstance(step, int):
                appended += spool.append(EVENTS[appended : appended + step])
            elif step == "take":
                events = spool.peek(9)
                assert list(events) == EVENTS[taken : taken + len(events)]
                spool.forget(len(events))
                taken += len(events)
            else:
                spool.close()
                spool = opened(Path(folder))
                # What had been taken of the oldest file comes again, and nothing else.
                events = spool.peek(1)
                taken = EVENTS.index(events[0]) if events else appended
        assert everything(spool) == EVENTS[taken:appended]
        spool.close()


def test_noise_in_a_file_is_left_behind_and_counted(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    spool.append(EVENTS[:2])
    spool.close()
    [path] = segments(tmp_path)
    path.write_bytes(
        random.Random(1).randbytes(700_000).replace(b"\n", b"") + b"\n" + path.read_bytes()
    )
    after = opened(tmp_path)
    assert everything(after) == EVENTS[:2]
    assert after.damaged > 0
    after.close()


def test_failed_write_keeps_nothing_of_it_and_everything_before_and_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = opened(tmp_path, segment_bytes=ROOM)
    spool.append(EVENTS[:2])

    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(os, "fdatasync", fail)
        with pytest.raises(OSError, match="No space left"):
            spool.append(EVENTS[2:4])
        with pytest.raises(OSError, match="No space left"):
            spool.probe()
    spool.probe()
    spool.append(EVENTS[4:6])
    assert everything(spool) == [*EVENTS[:2], *EVENTS[4:6]]
    spool.close()


def test_file_that_vanished_is_counted_and_holds_nobody_up(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    spool.append(EVENTS[:3])
    segments(tmp_path)[0].unlink()
    assert everything(spool) == []
    assert (spool.damaged, spool.empty) == (1, True)
    spool.close()


def test_two_processes_cannot_use_one_spool(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    with pytest.raises(ConflictError, match="another process uses the spool"):
        opened(tmp_path)
    spool.close()


def test_events_of_another_version_are_refused_and_not_touched(tmp_path: Path) -> None:
    other = tmp_path / "tracker-0.00000001.v2"
    other.write_text("what only the future knows")
    with pytest.raises(ConflictError, match="another version of adctl"):
        opened(tmp_path)
    assert other.exists()


def test_killed_process_leaves_every_event_it_acknowledged(tmp_path: Path) -> None:
    for round_number in range(3):
        acknowledged = _append_until_killed(tmp_path / str(round_number), 3 + 4 * round_number)
        spool = opened(tmp_path / str(round_number))
        found = everything(spool)
        assert found[:acknowledged] == EVENTS[:acknowledged]
        assert found == EVENTS[: len(found)]
        spool.close()


_APPEND_ALL = """
import sys
from pathlib import Path
import msgspec
from adctl.delivery.tracking import TrackedEvent
from adctl.stores.spool import Spool
spool = Spool(Path(sys.argv[1]), "tracker-0", 1 << 20, 4096)
for event in msgspec.json.decode(sys.stdin.buffer.read(), type=list[TrackedEvent]):
    spool.append([event])
    sys.stdout.write(".")
    sys.stdout.flush()
"""


def _append_until_killed(folder: Path, after: int) -> int:
    """Have a process spool events one by one; kill it once it told of ``after``; how many."""
    process = subprocess.Popen(
        [sys.executable, "-c", _APPEND_ALL, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(msgspec.json.encode(EVENTS))
        process.stdin.close()
        told = len(process.stdout.read(after))
        process.kill()
        return told + len(process.stdout.read())


def test_a_spool_that_is_let_go_in_time_is_taken_over(tmp_path: Path) -> None:
    held = Spool(tmp_path, "w", 1 << 20)
    threading.Timer(0.1, held.close).start()
    Spool(tmp_path, "w", 1 << 20, patience_sec=10).close()
