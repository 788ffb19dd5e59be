"""The loop that sends webhooks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import structlog

from adctl.errors import AdctlError

if TYPE_CHECKING:
    import threading

    from adctl.control.webhook_sending import WebhookSender
    from daemons.consumer.metrics import ConsumerMetrics

log = structlog.get_logger()

_LOOK_SEC = 0.5
_BRIEFLY_SEC = 0.02
_PAUSE_SEC = 1.0
_FORGET_SEC = 3600.0


class SendingLoop:
    """Sends webhooks for as long as it runs. One thread runs it."""

    name = "webhooks"

    def __init__(self, sender: WebhookSender, metrics: ConsumerMetrics) -> None:
        self._sender = sender
        self._deliveries = metrics.deliveries
        self._forget_at = 0.0
        self._failing = False

    def run(self, stop: threading.Event) -> None:
        """Send until ``stop`` is set, and wait for what is under way; after a failure, go on."""
        while not stop.is_set():
            try:
                pause = _BRIEFLY_SEC if self._send() else _LOOK_SEC
                self._failing = False
            except AdctlError as exc:
                self._fail(exc, bug=False)
                pause = _PAUSE_SEC
            except Exception as exc:  # noqa: BLE001 - the thread has to go on
                self._fail(exc, bug=True)
                pause = _PAUSE_SEC
            stop.wait(pause)
        self._sender.close()

    def _send(self) -> bool:
        if time.monotonic() >= self._forget_at:
            self._sender.forget_finished()
            self._forget_at = time.monotonic() + _FORGET_SEC
        # Whoever is slow has a thread of its own, and is not waited for.
        started = self._sender.start_due()
        outcomes = self._sender.finished()
        for outcome, count in outcomes.items():
            self._deliveries.labels(outcome).inc(count)
        return started or bool(outcomes)

    def _fail(self, exc: Exception, *, bug: bool) -> None:
        if not self._failing:
            log.error("sending webhooks interrupted", error=repr(exc), exc_info=bug)
        self._failing = True
