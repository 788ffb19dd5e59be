"""What an exchange has to tell, posted many at a time (``POST /events``) instead of one by one."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import msgspec

if TYPE_CHECKING:
    from adctl.demo.errands import Errands
    from adctl.demo.tally import Tally
    from adctl.demo.wire import Reply, Wire
    from adctl.models import EventKind

_MOST = 999
_TRIES = 4
_RETRY_SEC = 1.0
_COLLECTED_SEC = 0.5
_FORGED = {"kind": "win", "token": "made-up"}
_FIELDS = {
    "t": "token",
    "p": "price",
    "c": "currency",
    "q": "quantity",
    "r": "loss",
    "m": "min_to_win",
    "b": "market_bid_ratio",
    "s": "shown_at_ms",
}


class _Item(NamedTuple):
    """An event, what is posted of it, and how often that has been tried."""

    event_id: str
    told: dict[str, str]
    tries: int


class _Verdict(msgspec.Struct):
    verdict: str


class _Verdicts(msgspec.Struct):
    verdicts: list[_Verdict]


class Batches:
    """Collects events and posts them, a bad one among them. Safe to share between threads."""

    def __init__(self, errands: Errands, tally: Tally) -> None:
        self._errands = errands
        self._tally = tally
        self._waiting: deque[_Item] = deque()

    def add(self, event_id: str, kind: EventKind, url: str) -> None:
        """Have what ``url`` would tell posted soon."""
        query = parse_qsl(urlsplit(url).query)
        told = {_FIELDS[name]: value for name, value in query}
        self._put(_Item(event_id, {"kind": kind.value, **told}, 0), _COLLECTED_SEC)

    def _put(self, item: _Item, delay_sec: float) -> None:
        self._waiting.append(item)
        self._errands.add(delay_sec, self._post)

    def _post(self, wire: Wire) -> None:
        items = self._take()
        if not items:
            return
        for item in items:
            self._tally.send(item.event_id)
        told = [*(item.told for item in items), _FORGED]
        reply = wire.post("/events", msgspec.json.encode(told))
        *verdicts, of_forged = _verdicts(reply, len(told))
        if reply is None or reply.status == 503:
            self._tally.count("untold", len(items))
        if of_forged != "retry":
            self._tally.count("forged_sent")
            self._tally.count("forged_rejected", int(of_forged == "rejected"))
        for item, verdict in zip(items, verdicts, strict=True):
            self._note(item, verdict)

    def _take(self) -> list[_Item]:
        items: list[_Item] = []
        while self._waiting and len(items) < _MOST:
            try:
                items.append(self._waiting.popleft())
            except IndexError:  # another thread has it
                break
        return items

    def _note(self, item: _Item, verdict: str) -> None:
        if verdict == "rejected":
            self._tally.count("wrongly_refused")
            self._tally.complain(f"{item.event_id} was rejected in a batch: {item.told}")
        elif verdict != "retry":
            self._tally.acknowledge(item.event_id)
            self._tally.count("batched")
        elif item.tries < _TRIES:
            self._put(item._replace(tries=item.tries + 1), _RETRY_SEC)


def _verdicts(reply: Reply | None, count: int) -> list[str]:
    """Return a verdict for each; where the tracker has said none, it has to be told again."""
    if reply is None or reply.status not in {200, 400, 503}:
        return ["retry"] * count
    try:
        told = msgspec.json.decode(reply.body, type=_Verdicts).verdicts
    except msgspec.MsgspecError:
        return ["rejected"] * count
    return [one.verdict for one in told]
