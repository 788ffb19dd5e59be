from __future__ import annotations

import os
import signal

import pytest

from adctl.cli.live import LiveView, duration, process_table, stopping_on_signals
from adctl.control.supervision import ProcessStatus


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_ask_to_stop(number: signal.Signals) -> None:
    with stopping_on_signals() as stop:
        assert not stop.is_set()
        os.kill(os.getpid(), number)
        assert stop.wait(5)


def test_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with stopping_on_signals():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_under_nohup_a_closed_terminal_means_nothing() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stopping_on_signals() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop.wait(0.05)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_without_a_terminal_what_happens_is_a_line_with_a_zone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    view = LiveView()
    with view.showing(lambda: pytest.fail("there is no screen")):
        view.notify("valkey has ended")
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.endswith("+00:00 valkey has ended\n")


def test_a_process_table_has_a_line_each() -> None:
    status = ProcessStatus("api", "daemon", "not ready", False, 7, 8082, 3, 61.0, "postgres: away")
    assert process_table([status, status]).row_count == 2


def test_durations_read_as_clocks() -> None:
    assert duration(3661.9) == "1:01:01"
