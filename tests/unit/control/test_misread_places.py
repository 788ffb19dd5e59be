from __future__ import annotations

import msgspec
import pytest

from adctl.control.misread_places import read_again
from adctl.delivery.conversion import order_digest
from adctl.delivery.place import NOWHERE, Place
from adctl.models import Event, EventKind
from tests.unit.misread import misread

CODES = ("EUR", "JPY", "GBP")
LONG = ("1.1111", "0.006667", "1.1666666667", "123456789012.012345678901234567")
LONGEST = "123456789012.123456789012345678"
SHORT = ("1", "12", "1.2", "1.25")
# What 46 bytes hold is the least: a point was read for the site's length.
SHORT_SITE = Place("a.example", "DEU", "4")
ADVERTISER = 17


def event(kind: EventKind = EventKind.IMPRESSION, **changes: object) -> Event:
    made = Event(
        event_id=f"b1:{kind}",
        event_date="2026-11-01",
        kind=kind,
        occurred_at_ms=1_793_491_200_123,
        bid_id="b1",
        campaign_id=7,
        creative_id=2,
        exchange="default",
        price_cpm_micros=1_500_000,
        cost_nanos=1_500_000,
        bid_cpm_micros=2_000_000,
    )
    return msgspec.structs.replace(made, **changes)


@pytest.mark.parametrize("kind", EventKind)
@pytest.mark.parametrize("rate", [*LONG, LONGEST])
@pytest.mark.parametrize("code", CODES)
def test_what_was_misread_is_read_again(code: str, rate: str, kind: EventKind) -> None:
    true = event(kind, advertiser_id=ADVERTISER, site="a.example", country="DEU", device="4")
    wrong = misread(true, code, rate, ADVERTISER, SHORT_SITE)
    assert "\0" in wrong.site
    assert read_again(wrong, ADVERTISER) == true


@pytest.mark.parametrize("kind", EventKind)
@pytest.mark.parametrize("rate", SHORT)
@pytest.mark.parametrize("code", CODES)
def test_of_a_short_rate_the_advertiser_is_known_and_the_place_is_not(
    code: str, rate: str, kind: EventKind
) -> None:
    wrong = misread(event(kind), code, rate, ADVERTISER, SHORT_SITE)
    assert read_again(wrong, ADVERTISER) == event(kind, advertiser_id=ADVERTISER)


@pytest.mark.parametrize("after", [b"", bytes(7) + b"\1", b"\3", bytes(7) + b"\1\3"])
@pytest.mark.parametrize("length", range(65))
def test_a_site_is_kept_whole_or_left_out(length: int, after: bytes) -> None:
    site = ("abcdefgh.example/" * 4)[:length]
    wrong = misread(event(), "EUR", "1.1111", ADVERTISER, Place(site, "DEU", "4"), after)
    again = read_again(wrong, ADVERTISER)
    # The fifth character of the rate is a 1, so 49 bytes were read, of which 35 before the site.
    assert again.site == (site if length <= ord("1") - 26 - 9 else "")
    assert (again.advertiser_id, again.country, again.device) == (ADVERTISER, "DEU", "4")


@pytest.mark.parametrize("rate", LONG)
def test_a_place_that_was_not_known_stays_so(rate: str) -> None:
    wrong = misread(event(), "JPY", rate, ADVERTISER, NOWHERE)
    assert read_again(wrong, ADVERTISER) == event(advertiser_id=ADVERTISER)


def test_a_site_that_is_not_ascii_is_read_again() -> None:
    wrong = misread(event(), "GBP", "1.2999", ADVERTISER, Place("bäcker.de", "DEU", "2"))
    assert read_again(wrong, ADVERTISER).site == "bäcker.de"


def test_an_order_is_named_after_its_true_advertiser() -> None:
    told = event(EventKind.CONVERSION, order_id="o-1")
    wrong = misread(told, "EUR", "1.25", ADVERTISER, SHORT_SITE)
    named = msgspec.structs.replace(
        wrong, event_id=f"b1:conversion:{order_digest(wrong.advertiser_id, 'o-1')}"
    )
    again = read_again(named, ADVERTISER)
    assert again.event_id == f"b1:conversion:{order_digest(ADVERTISER, 'o-1')}"


WRONG = misread(event(), "EUR", "1.1111", ADVERTISER, SHORT_SITE)
MISREAD_SHORT = misread(event(), "EUR", "1.25", ADVERTISER, SHORT_SITE)


@pytest.mark.parametrize(
    "other",
    [
        event(advertiser_id=ADVERTISER, site="a.example", country="DEU", device="4"),
        event(advertiser_id=ADVERTISER, site="a\0b"),
        event(advertiser_id=0, site="\0" * 40, country="1.1", device="49"),
        event(advertiser_id=-1, country="1.1"),
        event(advertiser_id=2**40, country="1.1"),
        msgspec.structs.replace(WRONG, advertiser_id=WRONG.advertiser_id + 1),
        msgspec.structs.replace(WRONG, advertiser_id=int.from_bytes(b"eur\x06")),
        msgspec.structs.replace(WRONG, advertiser_id=int.from_bytes(b"EUR\x20")),
        msgspec.structs.replace(WRONG, country="DEU"),
        msgspec.structs.replace(WRONG, country="1."),
        msgspec.structs.replace(WRONG, device="4"),
        msgspec.structs.replace(WRONG, device="x"),
        msgspec.structs.replace(WRONG, device="300"),
        msgspec.structs.replace(WRONG, site="a.example"),
        msgspec.structs.replace(WRONG, site=WRONG.site + "x" * 30),
        msgspec.structs.replace(WRONG, site="2" + WRONG.site),
        msgspec.structs.replace(MISREAD_SHORT, site="a.example"),
        msgspec.structs.replace(MISREAD_SHORT, country="\ud800"),
    ],
)
def test_what_is_not_of_that_shape_stays_as_it_is(other: Event) -> None:
    assert read_again(other, 99) == other


def test_the_place_of_another_advertiser_is_no_place_of_the_campaign_s() -> None:
    assert read_again(WRONG, ADVERTISER + 1) == WRONG


def test_an_advertiser_that_happens_to_be_numbered_so_keeps_its_place() -> None:
    assert read_again(MISREAD_SHORT, MISREAD_SHORT.advertiser_id) == MISREAD_SHORT
