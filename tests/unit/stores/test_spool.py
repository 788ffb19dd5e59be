from pathlib import Path

import pytest

from adctl.delivery.macros import ToldMacros
from adctl.delivery.tokens import BidToken
from adctl.delivery.tracking import TrackedEvent, track
from adctl.models import EventKind
from adctl.stores.spool import Spool


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


def test_spooled_events_come_back_whole_and_in_order(tmp_path: Path) -> None:
    spool, taken = Spool(tmp_path / "s"), []
    for number in range(3):
        spool.append(tracked(number))
    assert not spool.empty
    assert spool.replay(taken.append) == 3
    assert taken == [tracked(number) for number in range(3)]
    assert spool.empty
    spool.close()


def test_failed_replay_keeps_everything(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s")
    spool.append(tracked(1))

    def refuse(_event: TrackedEvent) -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        spool.replay(refuse)
    taken: list[TrackedEvent] = []
    assert spool.replay(taken.append) == 1
    spool.close()


def test_spool_survives_its_process_and_drops_a_line_cut_by_a_crash(tmp_path: Path) -> None:
    first = Spool(tmp_path / "s")
    first.append(tracked(1))
    first.close()
    with (tmp_path / "s").open("ab") as file:
        file.write(b'{"event":{"event_i')
    second, taken = Spool(tmp_path / "s"), []
    second.append(tracked(2))
    second.replay(taken.append)
    assert taken == [tracked(1), tracked(2)]
    second.close()
