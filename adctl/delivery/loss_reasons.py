"""OpenRTB's loss reason codes (AdCOM 1.0, List: Loss Reason Codes), in words."""

from __future__ import annotations

WON = 0
NOT_TOLD = -1
"""Ours: the exchange left the macro as it was, or put no number there."""

_WORDS = {
    NOT_TOLD: "not told",
    WON: "won",
    1: "internal error",
    2: "impression opportunity expired",
    3: "invalid bid response",
    4: "invalid deal id",
    5: "invalid auction id",
    6: "invalid advertiser domain",
    7: "missing markup",
    8: "missing creative id",
    9: "missing bid price",
    10: "missing minimum creative approval data",
    100: "below the auction floor",
    101: "below the deal floor",
    102: "lost to a higher bid",
    103: "lost to a bid for a deal",
    104: "buyer seat blocked",
    200: "creative filtered: reason unknown",
    201: "creative filtered: pending at the exchange",
    202: "creative filtered: disapproved by the exchange",
    203: "creative filtered: size not allowed",
    204: "creative filtered: incorrect format",
    205: "creative filtered: advertiser exclusions",
    206: "creative filtered: app exclusions",
    207: "creative filtered: not secure",
    208: "creative filtered: language exclusions",
    209: "creative filtered: category exclusions",
    210: "creative filtered: attribute exclusions",
    211: "creative filtered: ad type exclusions",
    212: "creative filtered: animation too long",
    213: "creative filtered: not allowed in the deal",
}
_EXCHANGES_OWN = 1000


def describe_loss(code: int) -> str:
    """Return what a loss reason means; codes from 1,000 on are the exchange's own."""
    own = "the exchange's own reason" if code >= _EXCHANGES_OWN else "unknown reason"
    return _WORDS.get(code, own)
