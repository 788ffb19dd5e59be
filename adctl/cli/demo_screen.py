"""The demo's live screen, at home in 80 columns and 24 lines. Knows Rich."""

import time
from collections import deque

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from adctl.cli.live import LiveView, duration, state_text
from adctl.control.supervision import ProcessStatus
from adctl.demo.books import CampaignBooks
from adctl.demo.run import Phase, Snapshot
from adctl.money import format_nanos

_RATE_OVER_SEC = 3.0
# Lines of everything but the campaigns and what happened lately.
_FIXED_LINES = 13


class DemoScreen:
    """Draws snapshots; remembers a few seconds of them, for rates."""

    def __init__(self, view: LiveView) -> None:
        self._view = view
        self._past: deque[tuple[float, int]] = deque(maxlen=100)

    def draw(self, snapshot: Snapshot) -> RenderableType:
        """Return the screen for ``snapshot``."""
        return _Sized(self, snapshot)

    def lines(self, snapshot: Snapshot, height: int) -> Group:
        """Return the screen for a terminal of ``height`` lines."""
        room = height - _FIXED_LINES - len(snapshot.overview.campaigns)
        recent = self._view.recent_lines(max(2, room))
        return Group(
            _heading(snapshot),
            Text(),
            _numbers(snapshot, self.requests_per_sec()),
            _no_bids(snapshot),
            Text(),
            _campaigns(snapshot),
            Text(),
            _processes(snapshot.processes, "store"),
            _processes(snapshot.processes, "daemon"),
            recent,
        )

    def note(self, snapshot: Snapshot) -> None:
        """Remember how many requests there were by now."""
        now = time.monotonic()
        self._past.append((now, snapshot.counts["requests"]))
        while now - self._past[0][0] > _RATE_OVER_SEC:
            self._past.popleft()

    def requests_per_sec(self) -> float:
        """Return the rate of the last few seconds."""
        if len(self._past) < 2:
            return 0.0
        (began, before), (ended, after) = self._past[0], self._past[-1]
        return (after - before) / (ended - began)

    def line(self, snapshot: Snapshot) -> str:
        """Return the run in one line, for where there is no screen."""
        counts, latency = snapshot.counts, snapshot.latency
        down = [status.name for status in snapshot.processes if not status.ok]
        return (
            f"{snapshot.phase} {snapshot.elapsed_sec:.0f} s: "
            f"{counts['requests']:,} requests ({self.requests_per_sec():.0f}/s), "
            f"{_share(snapshot)} with a bid, {counts['won']:,} won, "
            f"{_events(snapshot, 'impression'):,} impressions, "
            f"{_events(snapshot, 'click'):,} clicks, "
            f"{_events(snapshot, 'conversion'):,} conversions, "
            f"spent {format_nanos(snapshot.overview.spent_nanos)}, "
            f"p50 {latency.p50_ms:.1f} ms, p99 {latency.p99_ms:.1f} ms, "
            f"forged {counts['forged_rejected']}/{counts['forged_sent']} rejected"
            + (f"; not ready: {', '.join(down)}" if down else "")
            + (f"; waiting for {snapshot.waiting_for}" if snapshot.waiting_for else "")
        )


class _Sized:
    """The screen, once it is known how much room there is."""

    def __init__(self, screen: DemoScreen, snapshot: Snapshot) -> None:
        self._screen = screen
        self._snapshot = snapshot

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self._screen.lines(self._snapshot, console.height)


def _heading(snapshot: Snapshot) -> Table:
    line = Table.grid(padding=(0, 2), expand=True)
    line.add_column(no_wrap=True)
    line.add_column(ratio=1)
    line.add_column(no_wrap=True, justify="right")
    elapsed = min(snapshot.elapsed_sec, snapshot.for_sec)
    times = f"{duration(elapsed)} of {duration(snapshot.for_sec)}"
    match snapshot.phase:
        case Phase.STARTING:
            middle: RenderableType = Text("starting stores and daemons", "yellow")
        case Phase.TRAFFIC:
            middle = ProgressBar(total=snapshot.for_sec, completed=elapsed)
        case Phase.DRAINING:
            waiting = snapshot.waiting_for or "everything to arrive"
            middle = Text(f"draining: waiting for {waiting}", "yellow", overflow="ellipsis")
        case Phase.STOPPING:
            middle = Text("auditing and stopping", "yellow")
    line.add_row(Text("adctl demo", "bold"), middle, f"{times}  Ctrl-C ends")
    return line


def _numbers(snapshot: Snapshot, per_sec: float) -> Table:
    counts, latency = snapshot.counts, snapshot.latency
    forged = Text(f"{counts['forged_rejected']}/{counts['forged_sent']}")
    if counts["forged_rejected"] != counts["forged_sent"]:
        forged.stylize("bold red")
    table = Table.grid(padding=(0, 1))
    for _ in range(4):
        table.add_column(style="dim", no_wrap=True)
        table.add_column(justify="right", no_wrap=True)
    rows: list[tuple[str | Text, ...]] = [
        ("requests", f"{counts['requests']:,}", "bids", f"{counts['bids']:,}"),
        ("per second", f"{per_sec:.0f}", "bid rate", _share(snapshot)),
        ("latency p50", f"{latency.p50_ms:.1f} ms", "won", f"{counts['won']:,}"),
        ("latency p99", f"{latency.p99_ms:.1f} ms", "lost", f"{counts['lost']:,}"),
    ]
    more: list[tuple[str | Text, ...]] = [
        (
            "impressions",
            f"{_events(snapshot, 'impression'):,}",
            "spend",
            _short(snapshot.overview.spent_nanos),
        ),
        ("clicks", f"{_events(snapshot, 'click'):,}", "forged", forged),
        (
            "conversions",
            f"{_events(snapshot, 'conversion'):,}",
            "malformed",
            f"{counts['refused']}",
        ),
        ("repeated", f"{counts['repeats']:,}", "untold", f"{counts['untold']:,}"),
    ]
    for left, right in zip(rows, more, strict=True):
        table.add_row(*left, *right)
    return table


def _no_bids(snapshot: Snapshot) -> Text:
    found = "  ".join(f"{reason} {number:,}" for reason, number in snapshot.overview.no_bids)
    return Text.assemble(
        ("no bid  ", "dim"), found or "none yet", no_wrap=True, overflow="ellipsis"
    )


def _campaigns(snapshot: Snapshot) -> Table:
    table = Table(
        box=None,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        header_style="yellow" if snapshot.stale else "bold",
        expand=True,
    )
    title = "campaign (a store is away)" if snapshot.stale else "campaign"
    table.add_column(title, no_wrap=True, overflow="ellipsis", ratio=1)
    for heading in ("seen", "clicks", "spent", "reserved", "available", "pace"):
        table.add_column(heading, justify="right", no_wrap=True)
    for campaign in snapshot.overview.campaigns:
        table.add_row(*_campaign_row(campaign))
    return table


def _campaign_row(campaign: CampaignBooks) -> tuple[str | Text, ...]:
    money, counts = campaign.money, campaign.counts
    name = Text(campaign.name, "" if campaign.status == "active" else "dim")
    if money is None:
        return name, "", "", "", "", "", campaign.status
    pace = f"{campaign.pacing_ppm / 10_000:.0f}%" if campaign.status == "active" else "paused"
    available = Text(_short(money.available), "" if money.adds_up else "bold red")
    return (
        name,
        f"{counts.get('impression', 0):,}",
        f"{counts.get('click', 0):,}",
        _short(money.spent),
        _short(money.reserved),
        available,
        pace,
    )


def _processes(processes: tuple[ProcessStatus, ...], kind: str) -> Text:
    line = Text(no_wrap=True, overflow="ellipsis")
    for status in processes:
        if status.kind != kind:
            continue
        state = state_text(status)
        line.append("● ", state.style)
        line.append(status.name)
        if not status.ok:
            line.append(f" {status.state}", state.style)
        if status.restarts:
            line.append(f" ×{status.restarts}", "yellow")  # noqa: RUF001 - "times"
        line.append("  ")
    return line


def _events(snapshot: Snapshot, kind: str) -> int:
    return sum(campaign.counts.get(kind, 0) for campaign in snapshot.overview.campaigns)


def _share(snapshot: Snapshot) -> str:
    counts = snapshot.counts
    answered = counts["requests"] - counts["unanswered"]
    return f"{(counts['bid'] + counts['too_late']) / answered:.0%}" if answered else "0%"


def _short(nanos: int) -> str:
    """Return an amount to four places: a screen is no ledger."""
    whole, _, places = format_nanos(nanos).partition(".")
    return f"{whole}.{places[:4]}"
