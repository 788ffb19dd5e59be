"""Where a click leads: the creative's own landing page, the macros in its address filled in."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Callable

    from adctl.delivery.tokens import BidToken

CLICK_ID = "{click_id}"
"""What the page reports a conversion with."""

LANDING_MACROS = (
    CLICK_ID,
    "{bid_id}",
    "{campaign_id}",
    "{creative_id}",
    "{exchange}",
    "{site}",
    "{country}",
    "{device}",
    "{clicked_at}",
)

_MACRO = re.compile(r"\{[^{}]*\}")
# A page that could be on any host, or of any scheme, would be no page of the advertiser's.
_FIXED_HOST = re.compile(r"https?://[^/?#{}]+(?:[/?#]|$)", re.IGNORECASE)


def macros_in(url: str) -> tuple[str, ...]:
    """Return whatever stands in braces in ``url``, known or not, each once."""
    return tuple(dict.fromkeys(_MACRO.findall(url)))


def without_macros(url: str) -> str:
    """Return ``url`` with nothing in the places of its macros."""
    return _MACRO.sub("", url)


def has_fixed_host(url: str) -> bool:
    """Return whether no macro has a say in where ``url`` leads: they begin behind the host."""
    return _FIXED_HOST.match(url) is not None


def filled(url: str, token: BidToken, click_id: Callable[[], str], now_ms: int) -> str:
    """Return ``url`` with its macros replaced by what ``token`` proves, each escaped as data.

    A value can therefore neither end the part of the address it stands in nor bring a macro of its
    own. ``{clicked_at}`` is ``now_ms`` in whole seconds. ``click_id`` is asked only where needed.
    What is no macro is escaped as well.
    """
    values = {
        CLICK_ID: click_id() if CLICK_ID in url else "",
        "{bid_id}": token.bid_id,
        "{campaign_id}": str(token.campaign_id),
        "{creative_id}": str(token.creative_id),
        "{exchange}": token.exchange,
        "{site}": token.place.site,
        "{country}": token.place.country,
        "{device}": token.place.device,
        "{clicked_at}": str(now_ms // 1000),
    }
    return _MACRO.sub(lambda macro: quote(values.get(macro[0], macro[0]), safe=""), url)
