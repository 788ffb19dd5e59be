from __future__ import annotations

import random
import threading
import time
from decimal import Decimal

import msgspec
import pytest

from adctl.demo.errands import Errands
from adctl.demo.exchange import Clearing, Exchange
from adctl.demo.requests import Offer
from adctl.demo.tally import Tally
from adctl.demo.visitor import Visitor
from adctl.demo.wire import Reply
from adctl.models import EventKind

TRACKER = "127.0.0.1:8081"
TOKEN = "cGF5bG9hZA.c2lnbmF0dXJl"
OFFER = Offer(b"{}", {"1": 500_000})
MALFORMED = Offer(b"{", {}, well_formed=False)


class Script:
    """Plays requests and the bidder's answers, in order."""

    def __init__(self, *exchanges: tuple[Offer, Reply | None]) -> None:
        self._exchanges = list(exchanges)
        self._reply: Reply | None = None

    def make(self) -> Offer:
        offer, self._reply = self._exchanges.pop(0)
        return offer

    def post(self, path: str, body: bytes) -> Reply | None:
        return self._reply


def bid_reply(price: str, impid: str = "1", cur: str = "USD") -> Reply:
    notice = f"http://{TRACKER}/notice"
    bid = {
        "id": "b1",
        "impid": impid,
        "price": Decimal(price),
        "adm": f'<a href="http://{TRACKER}/track/click?t=x">'
        f'<img src="http://{TRACKER}/track/impression?t={TOKEN}&amp;p=${{AUCTION_PRICE}}"></a>',
        "nurl": f"{notice}/win?t=x&p=${{AUCTION_PRICE}}",
        "burl": f"{notice}/bill?t=x&p=${{AUCTION_PRICE}}",
        "lurl": f"{notice}/loss?t=x&p=${{AUCTION_PRICE}}&r=${{AUCTION_LOSS}}",
    }
    response = {"id": "r", "cur": cur, "seatbid": [{"bid": [bid]}]}
    encode = msgspec.json.Encoder(decimal_format="number").encode
    return Reply(200, encode(response), "")


def play(*exchanges: tuple[Offer, Reply | None], seed: int = 1) -> tuple[Tally, list[str]]:
    """Offer once per exchange; return the tally and the URLs that were asked for."""
    tally, errands, asked = Tally(), Errands(), []

    class Listener:
        def get(self, url: str) -> Reply:
            asked.append(url)
            return Reply(200, b"", "")

    script = Script(*exchanges)
    visitor = Visitor(TRACKER, errands, tally)
    exchange = Exchange(script, script, visitor, errands, tally, random.Random(seed))  # type: ignore[arg-type]
    for _ in exchanges:
        exchange.offer()
    errands.hurry()
    browser = threading.Thread(target=errands.work, args=(Listener(),))
    browser.start()
    while not errands.idle:
        time.sleep(0.001)
    errands.end()
    browser.join()
    return tally, asked


@pytest.mark.parametrize(
    ("offer", "reply", "outcome"),
    [
        (OFFER, Reply(204, b"", ""), "no_bid"),
        (MALFORMED, Reply(400, b"", ""), "refused"),
        (OFFER, None, "unanswered"),
        (OFFER, Reply(500, b"", ""), "wrong_answer"),
        (OFFER, Reply(400, b"", ""), "wrong_answer"),
        (MALFORMED, Reply(204, b"", ""), "wrong_answer"),
        (OFFER, Reply(200, b"not json", ""), "wrong_answer"),
        (OFFER, bid_reply("0.40"), "wrong_answer"),  # under the floor
        (OFFER, bid_reply("2.00", impid="9"), "wrong_answer"),
        (OFFER, bid_reply("2.00", cur="EUR"), "wrong_answer"),
        (OFFER, bid_reply("0.50"), "bid"),
    ],
)
def test_answers_are_told_apart(offer: Offer, reply: Reply | None, outcome: str) -> None:
    tally, _ = play((offer, reply))
    assert tally.counts()[outcome] == 1


def test_a_wrong_answer_is_kept_for_the_summary() -> None:
    tally, _ = play((OFFER, Reply(500, b"oops", "")))
    assert "HTTP 500 'oops'" in tally.complaints[0]


def test_a_high_bid_wins_at_the_second_price_and_is_seen() -> None:
    tally, asked = play((OFFER, bid_reply("900.00")))
    assert tally.counts()["won"] == 1
    cost_nanos = tally.expected_cost_nanos[f"b1:{EventKind.IMPRESSION}"]
    assert 500_000 < cost_nanos < 900_000_000
    price = Decimal(cost_nanos) / 1_000_000
    impression = next(url for url in asked if f"/track/impression?t={TOKEN}&" in url)
    assert Decimal(impression.rpartition("p=")[2]) == price


def test_a_low_bid_loses_and_hears_why() -> None:
    told: list[str] = []
    for seed in range(5):
        tally, asked = play((OFFER, bid_reply("0.50")), seed=seed)
        assert tally.counts()["lost"] == 1
        told += asked
    assert told
    assert all("/notice/loss?" in url and url.endswith("&r=102") for url in told)


def test_the_first_ad_seen_is_clicked_and_attacked() -> None:
    tally, asked = play((OFFER, bid_reply("900.00")))
    assert any("/track/click?t=x" in url for url in asked)
    assert tally.counts()["forged_sent"] == 1


@pytest.mark.parametrize(
    ("clearing", "filled"),
    [
        (Clearing("1.25", 1_250_000), "p=1.25&r=102"),
        (Clearing("", 2_000_000), "p=&r=102"),
        (Clearing("AUDIT", 2_000_000), "p=AUDIT&r=102"),
        (Clearing(None, 2_000_000), "p=${AUCTION_PRICE}&r=102"),
    ],
)
def test_macros_are_filled_in_as_exchanges_do(clearing: Clearing, filled: str) -> None:
    assert clearing.fill_in("p=${AUCTION_PRICE}&r=${AUCTION_LOSS}", 102) == filled


def test_an_unpriced_win_costs_what_was_bid() -> None:
    costs = set()
    for seed in range(60):
        tally, asked = play((OFFER, bid_reply("900.00")), seed=seed)
        seen = [url for url in asked if f"/track/impression?t={TOKEN}&" in url]
        if seen and seen[0].rpartition("p=")[2] in ("", "AUDIT", "${AUCTION_PRICE}"):
            costs.add(tally.expected_cost_nanos[f"b1:{EventKind.IMPRESSION}"])
    assert costs == {900_000_000}
