from __future__ import annotations

import os
import threading
import time

from daemons.standby import FIRST, Standby


def test_who_takes_nobodys_place_is_never_waited_for() -> None:
    FIRST.ready()
    assert FIRST.wait(10, threading.Event())


def test_a_successor_is_waited_for_until_it_is_ready() -> None:
    standby = Standby.after_another()
    child = Standby(standby.told, os.dup(standby.tells))
    threading.Timer(0.05, child.ready).start()
    assert standby.wait(10, threading.Event())
    os.close(child.tells)


def test_a_successor_that_dies_is_not_waited_for() -> None:
    assert not Standby.after_another().wait(10, threading.Event())


def test_a_successor_may_take_too_long() -> None:
    standby = Standby.after_another()
    kept = os.dup(standby.tells)
    began = time.monotonic()
    assert not standby.wait(0.2, threading.Event())
    assert time.monotonic() - began < 5
    os.close(kept)


def test_nobody_waits_for_a_successor_when_everything_is_to_stop() -> None:
    standby, stop = Standby.after_another(), threading.Event()
    stop.set()
    kept = os.dup(standby.tells)
    assert not standby.wait(10, stop)
    os.close(kept)
