from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import falcon
import falcon.testing
import greenlet
import msgspec
from prometheus_client import CollectorRegistry

from daemons.tracker.metrics import TrackerMetrics
from daemons.tracker.posted import LARGE_BYTES, TOGETHER, PostedEvents
from daemons.tracker.verifying import Verifier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adctl.config_exchange import ExchangeSettings


class Desk:
    """Batches that are posted at the same time, in turns; and what is done in which turn."""

    def __init__(self) -> None:
        self.turn = 0
        self.steps: Counter[int] = Counter()
        self.answers: list[falcon.Response] = []
        self._gave_way: list[greenlet.greenlet] = []
        exchanges: dict[str, ExchangeSettings] = {}
        metrics = TrackerMetrics(CollectorRegistry())
        verifier = Verifier({1: bytes(32)}, 1, exchanges)
        self.posted = PostedEvents(verifier, self, metrics, self.give_way)

    def take_all(self, events: Sequence[Any]) -> list[Any]:
        self.steps[self.turn] += 1
        return ["taken"] * len(events)

    def give_way(self) -> None:
        me = greenlet.getcurrent()
        self._gave_way.append(me)
        me.parent.switch()

    def post(self, body: bytes) -> None:
        req = falcon.testing.create_req(method="POST", body=body)
        resp = falcon.Response()
        self.posted.on_post(req, resp)
        self.answers.append(resp)

    def post_together(self, bodies: Sequence[bytes]) -> None:
        """Post them all in one turn, and go on until all are answered."""
        running = [greenlet.greenlet(self.post) for _ in bodies]
        for one, body in zip(running, bodies, strict=True):
            one.switch(body)
        while self._gave_way:
            self.turn += 1
            self._gave_way, waited = [], self._gave_way
            for one in waited:
                one.switch()


def test_of_batches_posted_at_once_one_has_its_step_in_a_turn() -> None:
    desk = Desk()
    desk.post_together([msgspec.json.encode([{}] * 1000)] * 10)
    assert max(desk.steps.values()) == 1
    assert sum(desk.steps.values()) == 10 * 1000 // TOGETHER
    assert [len(msgspec.json.decode(one.data)["verdicts"]) for one in desk.answers] == [1000] * 10


def test_batches_posted_at_once_take_turns_rather_than_wait_for_each_other() -> None:
    desk = Desk()
    desk.post_together([msgspec.json.encode([{}] * 1000), msgspec.json.encode([{}] * 100)])
    lengths = [len(msgspec.json.decode(one.data)["verdicts"]) for one in desk.answers]
    assert lengths == [100, 1000]


def test_large_bodies_posted_at_once_are_read_one_in_a_turn() -> None:
    desk = Desk()
    body = b'{"kind":"' + b"x" * LARGE_BYTES + b'"}'
    desk.post_together([body] * 5)
    assert desk.turn >= 5


def test_few_events_wait_for_no_batch() -> None:
    desk = Desk()
    desk.post_together([*[msgspec.json.encode([{}] * 1000)] * 3, b"{}"])
    assert len(msgspec.json.decode(desk.answers[0].data)["verdicts"]) == 1


def test_body_that_is_refused_holds_nobody_up() -> None:
    desk = Desk()
    try:
        desk.post(b"[" * LARGE_BYTES * 2)
    except falcon.HTTPBadRequest:
        desk.post_together([msgspec.json.encode([{}] * 200)])
    assert len(desk.answers) == 1
