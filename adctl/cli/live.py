"""What long-running commands show: a live screen on a terminal, lines elsewhere. Knows Rich."""

import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from adctl.cli.render import say
from adctl.control.supervision import ProcessStatus

_REFRESH_PER_SEC = 4
_RECENT = 50


@contextmanager
def stopping_on_signals() -> Iterator[threading.Event]:
    """Yield an event that Ctrl-C, SIGTERM and a closing terminal set. For the main thread.

    Under nohup a closing terminal means nothing.
    """
    stop = threading.Event()

    def ask_to_stop(_signum: int, _frame: object) -> None:
        stop.set()

    signals = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signals.append(signal.SIGHUP)
    before = {number: signal.signal(number, ask_to_stop) for number in signals}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class LiveView:
    """Shows a screen while something runs, and keeps what happened. On standard error.

    Without a terminal there is no screen; what happens becomes a line at once.
    """

    def __init__(self) -> None:
        self._console = Console(file=sys.stderr, highlight=False, emoji=False)
        self.on_terminal = self._console.is_terminal
        self.recent: deque[tuple[datetime, str]] = deque(maxlen=_RECENT)

    def notify(self, text: str) -> None:
        """Take note of something that happened just now."""
        now = datetime.now(UTC)
        self.recent.append((now, text))
        if not self.on_terminal:
            say(f"{now.isoformat(sep=' ', timespec='seconds')} {text}")

    @contextmanager
    def showing(self, screen: Callable[[], RenderableType]) -> Iterator[None]:
        """Show what ``screen`` returns for as long as the block runs; asked from another thread."""
        if not self.on_terminal:
            yield
            return
        with Live(
            console=self._console,
            screen=True,
            get_renderable=screen,
            refresh_per_second=_REFRESH_PER_SEC,
        ):
            yield

    def recent_lines(self, count: int) -> Table:
        """Return the newest ``count`` happenings, a line each."""
        lines = Table.grid(padding=(0, 1))
        lines.add_column(style="dim", no_wrap=True, min_width=8)
        lines.add_column(no_wrap=True, overflow="ellipsis")
        for at, text in list(self.recent)[-count:]:
            lines.add_row(f"{at.astimezone():%H:%M:%S}", text.splitlines()[0])
        return lines


def process_table(statuses: Iterable[ProcessStatus]) -> Table:
    """Return stores and daemons with their state, a line each."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("process")
    table.add_column("state", min_width=10)
    for heading in ("pid", "port", "restarts", "uptime"):
        table.add_column(heading, justify="right")
    table.add_column("missing", no_wrap=True, overflow="ellipsis", style="yellow")
    for status in statuses:
        table.add_row(
            status.name,
            state_text(status),
            str(status.pid),
            str(status.port),
            Text(str(status.restarts), "yellow" if status.restarts else ""),
            duration(status.uptime_sec),
            status.missing,
        )
    return table


def state_text(status: ProcessStatus) -> Text:
    """Return a process's state, green when it is as it should be."""
    if status.ok:
        return Text(status.state, "green")
    return Text(status.state, "yellow" if status.state == "starting" else "red")


def duration(seconds: float) -> str:
    """Return a duration as ``H:MM:SS``."""
    return str(timedelta(seconds=int(seconds)))
