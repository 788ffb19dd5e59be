from __future__ import annotations

import io
from collections import Counter

import pytest
from rich.console import Console

from adctl.cli.demo_screen import DemoScreen
from adctl.cli.live import LiveView
from adctl.control.daemon_process import START_ORDER
from adctl.control.supervision import ProcessStatus
from adctl.demo.books import CampaignBooks, Overview
from adctl.demo.campaigns import SAMPLES
from adctl.demo.run import Phase, Snapshot
from adctl.demo.tally import Latency
from adctl.stores.budgets import BudgetState

MONEY = BudgetState(
    budget=4000 * 10**9,
    available=3_987_600_000_001,
    reserved=399_999_999,
    spent=12_000_000_000,
    day="2030-01-01",
    day_budget=4000 * 10**9,
    day_available=3_987_600_000_001,
    day_spent=12_000_000_000,
    late=0,
)
COUNTS = {
    "requests": 123_456,
    "unanswered": 12,
    "bid": 100_000,
    "bids": 110_000,
    "won": 80_000,
    "lost": 30_000,
    "forged_sent": 40_000,
    "forged_rejected": 40_000,
    "untold": 17,
}


def status(name: str, state: str = "ready", restarts: int = 0) -> ProcessStatus:
    kind = "daemon" if name in START_ORDER else "store"
    return ProcessStatus(name, kind, state, state == "ready", 1, 2, restarts, 3.0)


def snapshot(phase: Phase = Phase.TRAFFIC, **fields: object) -> Snapshot:
    campaigns = tuple(
        CampaignBooks(number, name, "active", "cpm", MONEY, {"impression": 9_999}, 870_000)
        for number, (_, name, *_) in enumerate(SAMPLES)
    )
    names = ("postgres", "valkey", "kafka", *START_ORDER)
    whole = Snapshot(
        phase=phase,
        elapsed_sec=17.0,
        for_sec=30,
        counts=Counter(COUNTS),
        latency=Latency(1.9, 23.4),
        overview=Overview(campaigns, (("floor", 31_000), ("frequency_cap", 7))),
        stale=False,
        processes=tuple(status(name) for name in names),
        waiting_for="",
    )
    return whole._replace(**fields)  # type: ignore[arg-type]


def drawn(shown: Snapshot, width: int = 80, height: int = 24) -> list[str]:
    view = LiveView()
    for number in range(30):
        view.notify(f"happening {number} " + "x" * 150)
    console = Console(file=io.StringIO(), width=width, height=height, color_system=None)
    console.print(DemoScreen(view).draw(shown))
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (200, 60)])
@pytest.mark.parametrize("phase", Phase)
def test_the_screen_fits_the_terminal(phase: Phase, width: int, height: int) -> None:
    lines = drawn(snapshot(phase), width, height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width


def test_numbers_and_names_are_whole_at_80_columns() -> None:
    text = "\n".join(drawn(snapshot()))
    for whole in ("123,456", "110,000", "81%", "1.9 ms", "23.4 ms", "40000/40000", "96.00"):
        assert whole in text
    for _, name, *_ in SAMPLES:
        assert name in text
    for process in ("postgres", "valkey", "kafka", *START_ORDER):
        assert f"● {process}" in text
    assert "0:00:17 of 0:00:30" in text
    assert "floor 31,000" in text
    assert "3987.6000" in text
    assert "87%" in text


def test_what_happened_last_is_seen_even_on_a_small_terminal() -> None:
    assert "happening 29" in drawn(snapshot())[-1]


def test_trouble_is_named() -> None:
    processes = (status("valkey", "restarting", 1), status("flusher", "not ready", 2))
    text = "\n".join(drawn(snapshot(processes=processes, stale=True)))
    assert "valkey restarting ×1" in text  # noqa: RUF001 - "times"
    assert "flusher not ready ×2" in text  # noqa: RUF001
    assert "a store is away" in text


def test_what_is_waited_for_is_told_while_draining() -> None:
    lines = drawn(snapshot(Phase.DRAINING, waiting_for="events on their way to Kafka"))
    assert "draining: waiting for events on" in lines[0]


def test_a_paused_campaign_is_shown_as_paused() -> None:
    books = CampaignBooks(1, "Later", "paused", "cpm", MONEY, {}, 1_000_000)
    lines = drawn(snapshot(overview=Overview((books,))))
    assert any("Later" in line and line.rstrip().endswith("paused") for line in lines)


def test_without_a_terminal_the_run_is_one_line() -> None:
    line = DemoScreen(LiveView()).line(snapshot(processes=(status("api", "no answer"),)))
    assert "\n" not in line
    assert "traffic 17 s: 123,456 requests" in line
    assert "forged 40000/40000 rejected; not ready: api" in line
