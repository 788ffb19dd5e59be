"""Events that servers post: ``POST /events``, one or many, each with a verdict of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import falcon
import msgspec

from adctl.delivery.conversion import read_order
from adctl.delivery.macros import ToldMacros
from adctl.delivery.tracking import TrackedEvent
from adctl.errors import (
    ExpiredTokenError,
    Fault,
    ForgedTokenError,
    FutureTokenError,
    StoreUnavailableError,
)
from adctl.models import EventKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from falcon import Request, Response

    from daemons.tracker.metrics import TrackerMetrics
    from daemons.tracker.verifying import Verifier

MAX_ITEMS = 1000
TOGETHER = 100
"""Events of a batch that share a turn: some 10 ms, which others' requests wait."""

# What an item may have, by kind of value; the same that URLs carry in short.
_TEXTS = (
    "price",
    "currency",
    "loss",
    "quantity",
    "min_to_win",
    "market_bid_ratio",
    "shown_at_ms",
    "order_id",
    "value",
    "user_id",
)
_KINDS = frozenset(EventKind)
_FIELDS = frozenset(("kind", "token", "advertiser_key", *_TEXTS))
_RETRY = "retry"
_SHOWN = 32


class Item(NamedTuple):
    """One event as it was posted: what it is if it is good, else everything wrong with it."""

    kind: str
    tracked: TrackedEvent | None
    faults: Sequence[Fault]


class TakeAll(Protocol):
    """Where verified events go."""

    def take_all(self, events: Sequence[TrackedEvent]) -> list[str | StoreUnavailableError]:
        """Keep events; return what became of each, an error for one that is not kept."""


class PostedEvents:
    """``POST /events``: a JSON object, or an array of at most MAX_ITEMS."""

    def __init__(
        self,
        verifier: Verifier,
        sink: TakeAll,
        metrics: TrackerMetrics,
        give_way: Callable[[], None],
    ) -> None:
        self._give_way = give_way
        self._verifier = verifier
        self._sink = sink
        self._metrics = metrics

    def on_post(self, req: Request, resp: Response) -> None:
        """Keep what is good; tell of each item, in order, what became of it.

        200 if anything was kept or had been, 400 if nothing is good, 503 if something good could
        not be kept: posting all of it again counts nothing twice.
        """
        events = _decode(req)
        verdicts: list[dict[str, object]] = []
        for begin in range(0, len(events), TOGETHER):
            if begin:
                self._give_way()
            verdicts += self._take(events[begin : begin + TOGETHER])
        resp.data = msgspec.json.encode({"verdicts": verdicts})
        resp.content_type = falcon.MEDIA_JSON
        words = {verdict["verdict"] for verdict in verdicts}
        if _RETRY in words:
            resp.status = falcon.HTTP_503
            resp.set_header("Retry-After", "5")
        elif words == {"rejected"}:
            resp.status = falcon.HTTP_400

    def _take(self, events: Sequence[object]) -> list[dict[str, object]]:
        """Keep what is good of a few events; return the verdict of each."""
        items = [self._read(told) for told in events]
        kept = self._sink.take_all([item.tracked for item in items if item.tracked is not None])
        kept.reverse()
        verdicts = [_verdict(item, kept) for item in items]
        for item, verdict in zip(items, verdicts, strict=True):
            self._count(item, str(verdict["verdict"]))
        return verdicts

    def _count(self, item: Item, verdict: str) -> None:
        if item.faults:
            # Whatever word came for a kind must not become a series.
            kind = item.kind if item.kind in _KINDS else "unknown"
            self._metrics.rejected.labels(kind, "faulty").inc()
        elif verdict != _RETRY:
            self._metrics.count(item.kind, verdict)

    def _read(self, told: object) -> Item:
        if not isinstance(told, dict):
            return Item("unknown", None, [Fault("", told, "an object")])
        faults = [
            Fault(name[:64], "", f"one of the fields {', '.join(sorted(_FIELDS))}")
            for name in told
            if name not in _FIELDS
        ]
        kind = told.get("kind")
        if kind not in _KINDS:
            faults.append(Fault("kind", _short(kind), f"one of {', '.join(EventKind)}"))
        texts = {name: _text(told, name, faults) for name in ("token", "advertiser_key", *_TEXTS)}
        tracked = self._track(kind, texts, faults)
        return Item(str(kind)[:16], None if faults else tracked, faults)

    def _track(self, kind: Any, texts: dict[str, str], faults: list[Fault]) -> TrackedEvent | None:
        order, wrong = read_order(
            texts["order_id"],
            texts["value"],
            texts["currency"] if texts["value"] else "",
            self._verifier.rates,
        )
        faults += wrong
        if texts["advertiser_key"]:
            return self._claim(kind, texts, faults)
        if kind not in _KINDS:
            # Without it nobody can say what the token should be for, but whether it is there.
            if not texts["token"]:
                faults.append(Fault("token", "", "the token of a bid"))
            return None
        told = ToldMacros(
            texts["price"],
            texts["loss"],
            "" if texts["value"] else texts["currency"],
            texts["quantity"],
            texts["min_to_win"],
            texts["market_bid_ratio"],
            texts["shown_at_ms"],
        )
        try:
            return self._verifier.tracked(texts["token"], EventKind(kind), told, order)[1]
        except (ForgedTokenError, ExpiredTokenError, FutureTokenError) as exc:
            faults.append(Fault("token", texts["token"][:24], f"a token that counts: {exc}"))
        return None

    def _claim(
        self, kind: object, texts: dict[str, str], faults: list[Fault]
    ) -> TrackedEvent | None:
        if kind != EventKind.CONVERSION:
            faults.append(Fault("kind", _short(kind), "conversion, with an advertiser_key"))
        claimed, wrong = self._verifier.claimed(
            texts["advertiser_key"],
            texts["user_id"],
            texts["order_id"],
            texts["value"],
            texts["currency"],
        )
        faults += [fault for fault in wrong if fault not in faults]
        return claimed


def _decode(req: Request) -> Sequence[object]:
    try:
        told = msgspec.json.decode(req.bounded_stream.read())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise falcon.HTTPBadRequest(description=f"the body is no JSON: {exc}") from exc
    items = told if isinstance(told, list) else [told]
    if not 1 <= len(items) <= MAX_ITEMS:
        raise falcon.HTTPBadRequest(
            description=f"{len(items)} events; expected 1 to {MAX_ITEMS} in one request"
        )
    return items


def _verdict(item: Item, kept: list[str | StoreUnavailableError]) -> dict[str, object]:
    """Return what an item is answered; ``kept`` has what became of the good ones, last first."""
    if item.tracked is None:
        return {
            "verdict": "rejected",
            "faults": [
                {"field": fault.field, "got": fault.value, "expected": fault.expected}
                for fault in item.faults
            ],
        }
    became = kept.pop()
    return {"verdict": _RETRY if isinstance(became, StoreUnavailableError) else became}


def _text(told: dict[str, object], name: str, faults: list[Fault]) -> str:
    """Return a field's text; numbers are as good, where they are whole."""
    value = told.get(name)
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str):
        return value
    expected = "text; amounts too, because numbers in JSON are not exact"
    faults.append(Fault(name, _short(value), expected))
    return ""


def _short(value: object) -> str:
    return (
        value[:32]
        if isinstance(value, str)
        else str(msgspec.json.encode(value)[:32], "utf-8", "ignore")
    )
