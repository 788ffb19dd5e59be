"""What all daemons share around their work: logs, signals, health, and a clean end."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

import falcon
import structlog
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from adctl.config import load_settings
from adctl.errors import AdctlError
from adctl.stores.log_file import tend_log
from daemons.connections import raise_file_limit
from daemons.serving import bind, make_server, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from falcon import Request, Response

    from adctl.config import Settings
    from adctl.config_connections import ConnectionSettings
    from adctl.config_daemon import DaemonSettings

    Check = Callable[[], None]
    Warn = Callable[[], str]

log = structlog.get_logger()


def configure_logging(log_format: str) -> None:
    """Send structlog and the standard library's loggers to standard error, one line an event."""
    renderer = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            _into_a_log_with_room,
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(name)s %(message)s")


def _into_a_log_with_room(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    tend_log()
    return event


def stop_on_signals() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set. Call from the main thread."""
    stop = threading.Event()

    def ask_to_stop(signum: int, _frame: object) -> None:
        log.info("stopping", signal=signal.Signals(signum).name)
        stop.set()

    signal.signal(signal.SIGTERM, ask_to_stop)
    signal.signal(signal.SIGINT, ask_to_stop)
    return stop


class Live:
    """``/health/live``: the process answers."""

    def on_get(self, _req: Request, resp: Response) -> None:
        """Answer 200."""
        resp.media = {"status": "live"}

    on_head = on_get


class Ready:
    """``/health/ready``: asks every store the daemon cannot work without."""

    def __init__(self, checks: Mapping[str, Check], warn: Mapping[str, Warn]) -> None:
        self._checks = checks
        self._warn = warn

    def on_get(self, _req: Request, resp: Response) -> None:
        """Answer 200 if every check passes, else 503; either way with each check's outcome.

        And with what a person should know, though work goes on.
        """
        outcomes = {name: _outcome(check) for name, check in self._checks.items()}
        ready = all(outcome == "ok" for outcome in outcomes.values())
        resp.status = falcon.HTTP_200 if ready else falcon.HTTP_503
        resp.media = {"status": "ready" if ready else "not ready", "checks": outcomes}
        if warnings := {name: text for name, warn in self._warn.items() if (text := warn())}:
            resp.media["warnings"] = warnings

    on_head = on_get


def _outcome(check: Check) -> str:
    try:
        check()
    except AdctlError as exc:
        return str(exc)
    return "ok"


class Metrics:
    """``/metrics`` in Prometheus' text format."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def on_get(self, _req: Request, resp: Response) -> None:
        """Answer with what the registry collects."""
        resp.content_type = CONTENT_TYPE_LATEST
        resp.data = generate_latest(self._registry)

    on_head = on_get


def add_health_routes(
    app: falcon.App[Request, Response],
    checks: Mapping[str, Check],
    registry: CollectorRegistry,
    warn: Mapping[str, Warn] | None = None,
) -> None:
    """Give ``app`` /health/live, /health/ready and /metrics, for GET and HEAD.

    A check raises an AdctlError to say what is missing; it must bring its own timeout. What is to
    ``warn`` returns what is wrong though the daemon is fit for work, or nothing.
    """
    app.add_route("/health/live", Live())
    app.add_route("/health/ready", Ready(checks, warn or {}))
    app.add_route("/metrics", Metrics(registry))


def create_health_app(
    checks: Mapping[str, Check], registry: CollectorRegistry
) -> falcon.App[Request, Response]:
    """Return an app that has nothing else: for daemons whose work does not come over HTTP."""
    app = falcon.App()
    add_health_routes(app, checks, registry)
    return app


def run_threaded(
    app: falcon.App[Request, Response],
    section: DaemonSettings,
    threads: int,
    connections: ConnectionSettings,
    stop: threading.Event,
) -> None:
    """Serve ``app`` at ``section``'s address, with waitress' own threads, until ``stop`` is set.

    Then drain: every request accepted before is answered. Blocks; call from the main thread.
    """
    sock = bind(section.host, section.port)
    log.info("listening", host=section.host, port=sock.getsockname()[1])
    serve(make_server(app, sock, threads=threads, connections=connections), stop)


def run_daemon(name: str, main: Callable[[Settings], None]) -> None:
    """Run a daemon's ``main`` with its settings and its logging set up.

    What adctl can explain (a faulty configuration, a store that is not there, a port that is
    taken) ends the process with the error's message and exit code.
    """
    try:
        settings = load_settings()
        configure_logging(settings.log_format)
        structlog.contextvars.bind_contextvars(daemon=name)
        raise_file_limit()
        main(settings)
    except AdctlError as exc:
        sys.stderr.write(f"{name}: {exc}\n")
        raise SystemExit(exc.exit_code) from exc
    # All that has to be closed is. To take down what is left, a heap of campaigns and the threads
    # of Kafka's clients, takes seconds and is of use to nobody.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
