"""What the tracker refuses, and that nothing comes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from adctl.delivery.tokens import CLOCKS_APART_SEC
from tests.integration.tracker.street import FORGER, TOKEN_TTL_SEC, everything, url

if TYPE_CHECKING:
    from collections.abc import Callable

    from adctl.delivery.tokens import BidToken
    from tests.integration.tracker.street import Street


def moved(bid: BidToken, by_sec: int) -> BidToken:
    return msgspec.structs.replace(bid, bid_at_ms=bid.bid_at_ms + by_sec * 1000)


@pytest.mark.parametrize(
    ("reason", "forge"),
    [
        ("forged", lambda bid: url(bid, "impression", signer=FORGER)),
        ("forged", lambda bid: url(bid, "click").replace("/click", "/impression")),
        ("forged", lambda bid: url(bid, "win").replace("/notice/win", "/track/impression")),
        ("forged", lambda _: "/track/impression"),
        ("forged", lambda _: "/track/impression?t="),
        ("forged", lambda _: "/track/impression?t=.&p=1"),
        ("forged", lambda _: "/track/impression?t=%00%ff%F0&p=1"),
        ("forged", lambda _: "/track/impression?t=" + "A" * 5000),
        ("forged", lambda bid: url(bid, "impression").replace("?t=", "?t=x&t=")),
        ("forged", lambda bid: url(bid, "impression").replace("?t=", "?t=A")),
        ("forged", lambda bid: url(bid, "impression").replace("&p=1.5", "")[:-1]),
        ("expired", lambda bid: url(moved(bid, -TOKEN_TTL_SEC - 5), "impression")),
        ("future", lambda bid: url(moved(bid, CLOCKS_APART_SEC + 60), "impression")),
    ],
    ids=[
        "another key",
        "a click's",
        "a notice's",
        "missing",
        "empty",
        "nothing signed",
        "no text",
        "far too long",
        "two of them",
        "shifted",
        "cut by a character",
        "expired",
        "not made yet",
    ],
)
def test_call_without_a_good_token_is_refused_counted_and_changes_nothing(
    street: Street, reason: str, forge: Callable[[BidToken], str]
) -> None:
    path = forge(street.bid())
    labels = {"kind": "impression", "reason": reason}
    before = street.metric("adctl_events_rejected_total", **labels)
    stored = everything(street.redis)
    assert [street.call(path, method).status for method in ("GET", "POST")] == [403, 403]
    assert everything(street.redis) == stored
    assert street.metric("adctl_events_rejected_total", **labels) == before + 2


@pytest.mark.parametrize(
    "path", ["/track/win", "/notice/impression", "/track/view", "/track/", "/track", "/", "/x"]
)
def test_other_events_and_paths_do_not_exist(street: Street, path: str) -> None:
    assert street.call(f"{path}?t=x").status == 404
    assert not street.events


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_other_methods_are_not_allowed(street: Street, method: str) -> None:
    assert street.tell(street.bid(), "impression", method).status == 405
    assert not street.events
