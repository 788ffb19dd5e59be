"""What the api answers when it cannot do what was asked: JSON, with every fault."""

from __future__ import annotations

from typing import TYPE_CHECKING

import falcon
import msgspec
import structlog

from adctl.errors import (
    AdctlError,
    ConflictError,
    FaultyInputError,
    NotFoundError,
    StoreUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from falcon import Request, Response

log = structlog.get_logger()

STATUS_OF: Mapping[type[AdctlError], str] = {
    FaultyInputError: falcon.HTTP_422,
    NotFoundError: falcon.HTTP_404,
    ConflictError: falcon.HTTP_409,
    StoreUnavailableError: falcon.HTTP_503,
}
_RETRY_AFTER_SEC = 1


class FieldFault(msgspec.Struct, frozen=True):
    """One thing wrong with what was sent; ``value`` may be cut short."""

    field: str
    value: object
    expected: str


class Problem(msgspec.Struct, frozen=True):
    """Why a request was not done."""

    title: str
    faults: list[FieldFault] = []


def add_error_handlers(app: falcon.App[Request, Response]) -> None:
    """Make every error of ``app`` a Problem: adctl's own, falcon's, and bugs (500, logged)."""
    app.set_error_serializer(_serialize)
    app.add_error_handler(Exception, _answer_bug)
    app.add_error_handler(falcon.HTTPError, _answer_http_error)
    app.add_error_handler(AdctlError, _answer)


def _answer(_req: Request, resp: Response, exc: AdctlError, _params: object) -> None:
    status = next((STATUS_OF[kind] for kind in type(exc).__mro__ if kind in STATUS_OF), None)
    if status is None:
        raise exc
    if isinstance(exc, StoreUnavailableError):
        # What the driver says names hosts and ports: for the log, not for callers.
        log.warning("store unavailable", error=str(exc))
        resp.retry_after = _RETRY_AFTER_SEC
        _write(resp, status, Problem("a store is unavailable; nothing is known to have changed"))
    elif isinstance(exc, FaultyInputError):
        faults = [FieldFault(fault.field, fault.value, fault.expected) for fault in exc.faults]
        _write(resp, status, Problem(f"{exc.subject} is not valid", faults))
    else:
        _write(resp, status, Problem(str(exc)))


def _answer_http_error(
    _req: Request, resp: Response, exc: falcon.HTTPError, _params: object
) -> None:
    resp.set_headers(exc.headers or {})
    _write(resp, exc.status, _problem_of(exc))


def _answer_bug(_req: Request, resp: Response, exc: Exception, _params: object) -> None:
    log.error("request failed", exc_info=exc)
    _write(resp, falcon.HTTP_500, Problem("a bug in adctl; its log says more"))


def _serialize(_req: Request, resp: Response, exc: falcon.HTTPError) -> None:
    _write(resp, exc.status, _problem_of(exc))


def _problem_of(exc: falcon.HTTPError) -> Problem:
    title = exc.title or str(exc.status)
    return Problem(f"{title}: {exc.description}" if exc.description else title)


def _write(resp: Response, status: object, problem: Problem) -> None:
    resp.status = status  # type: ignore[assignment]
    resp.content_type = falcon.MEDIA_JSON
    resp.data = msgspec.json.encode(problem)
