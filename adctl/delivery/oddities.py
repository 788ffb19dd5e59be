"""Events that should not have come, or not now, or not so: each has a rule, whoever is to blame."""

from __future__ import annotations

ABOVE_BID = "above_bid"
"""The only one that is found outside track.lua: the price that was told is above the bid's."""

RULES = {
    "duplicate": "the event was there already; nothing changes",
    "repriced": "it was there already at another price; the first price stands",
    "late": "billed after its reservation had expired; booked, and counted as late",
    "after_loss": "won or billed after its loss was told; booked, late if money was released",
    "after_win": "a loss told after the win; the win stands and nothing is released",
    "unwon": "a billing notice before any win notice; booked as usual",
    "rebilled": "billed by a second kind of event; the first one paid and this one is free",
    "no_state": "billed while Redis had no money state; the state is rebuilt with it",
    ABOVE_BID: "the price told is above the bid; booked at the bid",
}
"""Every oddity, and what is done about it. The first two are counted, but not stored again."""
