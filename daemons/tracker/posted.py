"""Events that servers post: ``POST /events``, one or many, each with a verdict of its own."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections import deque
from collections.abc import Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, Protocol

import falcon
import msgspec

from adctl.delivery.conversion import NO_ORDER, read_order
from adctl.delivery.details import LeftOut
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
from daemons.tracker.posted_json import UNREADABLE, Reader, beginning, parts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from falcon import Request, Response

    from daemons.tracker.metrics import TrackerMetrics
    from daemons.tracker.verifying import Verifier

MAX_ITEMS = 1000
TOGETHER = 100
"""Events of a batch that share a turn: some 10 ms, which others' requests wait."""
FEW = 10
LARGE_BYTES = 16 << 10
"""What is not more is done at once, whoever else posts a batch."""

# What an item may have, by kind of value; the same that URLs carry in short.
_DETAILS = (
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
_NEEDED = ("token", "advertiser_key")
_FIELDS = frozenset(("kind", *_NEEDED, *_DETAILS))
_READER = Reader(_FIELDS)
_EXPECTED_FIELD = f"one of the fields {', '.join(sorted(_FIELDS))}"
# What is wrong with items is told of so many parts; of the others, how many there are.
MAX_TOLD = 1000
_RETRY = "retry"


class Item(NamedTuple):
    """One event as it was posted: what it is if it is good, else everything wrong with it.

    ``left_out`` are the parts it counts without.
    """

    kind: str
    tracked: TrackedEvent | None
    faults: Sequence[Fault]
    left_out: Sequence[LeftOut] = ()


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
        self._steps: deque[object] = deque()
        self._verifier = verifier
        self._sink = sink
        self._metrics = metrics

    def on_post(self, req: Request, resp: Response) -> None:
        """Keep what is good; tell of each item, in order, what became of it.

        200 if anything was kept or had been, 400 if nothing is good, 503 if something good could
        not be kept: posting all of it again counts nothing twice.
        """
        body = req.bounded_stream.read().removeprefix(BOM_UTF8)
        with self._step(len(body) > LARGE_BYTES):
            events = _decode(body)
        verdicts: list[dict[str, object]] = []
        for begin in range(0, len(events), TOGETHER):
            with self._step(len(events) > FEW):
                verdicts += self._take(events[begin : begin + TOGETHER])
        untold = _leave_out_beyond(MAX_TOLD, verdicts)
        resp.data = msgspec.json.encode(
            {"verdicts": verdicts, "untold": untold} if untold else {"verdicts": verdicts}
        )
        resp.content_type = falcon.MEDIA_JSON
        words = {verdict["verdict"] for verdict in verdicts}
        if _RETRY in words:
            resp.status = falcon.HTTP_503
            resp.set_header("Retry-After", "5")
        elif words == {"rejected"}:
            resp.status = falcon.HTTP_400

    @contextmanager
    def _step(self, is_long: bool) -> Iterator[None]:
        """Be the one long step of a turn: of other batches one has its step in each next turn.

        However many are posted at once, others wait for one step at most.
        """
        if not is_long:
            yield
            return
        me = object()
        self._steps.append(me)
        try:
            while self._steps[0] is not me:
                self._give_way()
            yield
            self._give_way()
        finally:
            self._steps.remove(me)

    def _take(self, events: Sequence[msgspec.Raw]) -> list[dict[str, object]]:
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
            self._metrics.count_left_out(item.kind, item.left_out)

    def _read(self, part: msgspec.Raw) -> Item:
        told, unknown = _READER.read(part)
        if told is None:
            return Item("unknown", None, [Fault("", beginning(part), "a JSON object")])
        faults: list[Fault] = []
        left_out: list[LeftOut] = []
        kind = told.get("kind")
        if not isinstance(kind, str) or kind not in _KINDS:
            kind = ""
            faults.append(
                Fault("kind", beginning(told.get("kind")), f"one of {', '.join(EventKind)}")
            )
        texts = {name: _needed(told, name, faults) for name in _NEEDED}
        texts |= {name: _detail(told, name, left_out) for name in _DETAILS}
        if unknown:
            # Whatever came for a name must not become a series.
            left_out.append(LeftOut("unknown", "unknown_field", unknown, _EXPECTED_FIELD))
        tracked = self._track(kind, texts, faults, left_out)
        return Item(str(kind)[:16], None if faults else tracked, faults, left_out)

    def _track(
        self, kind: str, texts: dict[str, str], faults: list[Fault], left_out: list[LeftOut]
    ) -> TrackedEvent | None:
        order, value = NO_ORDER, texts["value"]
        if kind == EventKind.CONVERSION or texts["advertiser_key"]:
            currency = texts["currency"] if value else ""
            order, unread = read_order(texts["order_id"], value, currency, self._verifier.rates)
            left_out += unread
        else:
            # The id of an event is made of its order's: another one would be another event.
            left_out += [
                LeftOut(name, "not_of_kind", beginning(texts[name]), "nothing, but of a conversion")
                for name in ("order_id", "value")
                if texts[name]
            ]
        if key := texts["advertiser_key"]:
            if kind and kind != EventKind.CONVERSION:
                faults.append(Fault("kind", beginning(kind), "conversion, with an advertiser_key"))
            claimed, wrong = self._verifier.claimed(key, texts["user_id"], texts["order_id"], order)
            faults += [fault for fault in wrong if fault not in faults]
            return claimed
        if kind not in _KINDS:
            # Without it nobody can say what the token should be for, but whether it is there.
            if not texts["token"]:
                faults.append(Fault("token", "", "the token of a bid"))
            return None
        told = ToldMacros(
            texts["price"],
            texts["loss"],
            "" if kind == EventKind.CONVERSION and value else texts["currency"],
            texts["quantity"],
            texts["min_to_win"],
            texts["market_bid_ratio"],
            texts["shown_at_ms"],
        )
        try:
            tracked = self._verifier.tracked(texts["token"], EventKind(kind), told, order)
        except (ForgedTokenError, ExpiredTokenError, FutureTokenError) as exc:
            faults.append(Fault("token", texts["token"][:24], f"a token that counts: {exc}"))
            return None
        left_out += tracked.left_out
        return tracked.event


def _decode(body: bytes) -> Sequence[msgspec.Raw]:
    try:
        items = parts_of(body)
    except UNREADABLE as exc:
        raise falcon.HTTPBadRequest(description=f"the body is no JSON: {exc}"[:200]) from exc
    if not 1 <= len(items) <= MAX_ITEMS:
        raise falcon.HTTPBadRequest(
            description=f"{len(items)} events; expected 1 to {MAX_ITEMS} in one request"
        )
    return items


def _leave_out_beyond(most: int, verdicts: Sequence[dict[str, object]]) -> int:
    """Tell no more than ``most`` of what is wrong with items; return of how many parts not."""
    told = untold = 0
    for verdict in verdicts:
        for what in ("faults", "left_out"):
            parts = verdict.get(what)
            if isinstance(parts, list):
                room = most - told
                untold += max(len(parts) - room, 0)
                del parts[room:]
                told += len(parts)
    return untold


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
    verdict: dict[str, object] = {
        "verdict": _RETRY if isinstance(became, StoreUnavailableError) else became
    }
    if item.left_out:
        verdict["left_out"] = [
            {"field": part.detail, "got": part.got, "expected": part.expected}
            for part in item.left_out
        ]
    return verdict


def _needed(told: Mapping[str, object], name: str, faults: list[Fault]) -> str:
    """Return the text of a field without which there is no event."""
    text = _text(told.get(name))
    if text is None:
        faults.append(Fault(name, beginning(told[name]), "text"))
    return text or ""


def _detail(told: Mapping[str, object], name: str, left_out: list[LeftOut]) -> str:
    """Return the text of a field that an event can do without."""
    text = _text(told.get(name))
    if text is None:
        left_out.append(LeftOut(name, "wrong_type", beginning(told[name]), "text or a number"))
    return text or ""


def _text(value: object) -> str | None:
    """Return a value's text, a number's as it was written; '' for none, None for what has none."""
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else None
