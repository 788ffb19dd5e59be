from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from adctl.delivery.bitmaps import FIRST_POSITIONS
from adctl.delivery.catalog import Catalog
from adctl.delivery.targeting import RequestAttributes
from adctl.models import BidStrategy, Campaign, Factors, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random

NOW_MS = int(datetime(2026, 5, 6, 12, tzinfo=UTC).timestamp()) * 1000
SIZES = frozenset({(300, 250)})
ANYONE = RequestAttributes()


def walk(catalog: Catalog) -> Iterator[tuple[Campaign, int]]:
    return catalog.dearest_first(catalog.index.matches(ANYONE, SIZES, NOW_MS), ANYONE)


def bids(catalog: Catalog) -> list[tuple[int, int]]:
    return [(campaign.id, bid) for campaign, bid in walk(catalog)]


def test_an_empty_catalog_has_nobody() -> None:
    catalog = Catalog.build()
    assert len(catalog) == 0
    assert bids(catalog) == []
    assert catalog.campaign(1) is None
    assert catalog.factors_of(1) == Factors()


def test_candidates_come_dearest_first(make_campaign: Callable[..., Campaign]) -> None:
    catalog = Catalog.build(make_campaign(n, bid_amount_micros=n * 10) for n in (2, 3, 1))
    assert bids(catalog) == [(3, 30), (2, 20), (1, 10)]


def test_rank_is_what_is_bid_not_what_is_paid_for(make_campaign: Callable[..., Campaign]) -> None:
    click = make_campaign(1, bid_strategy=BidStrategy.CPC, bid_amount_micros=3_000_000)
    catalog = Catalog.build(
        [click, make_campaign(2, bid_amount_micros=1_000_000)], {1: Factors(ctr_ppm=200)}
    )
    assert bids(catalog) == [(2, 1_000_000), (1, 600_000)]


def test_factors_change_the_order_and_silence_the_paced(
    make_campaign: Callable[..., Campaign],
) -> None:
    catalog = Catalog.build(make_campaign(n, bid_amount_micros=n * 1000) for n in (1, 2, 3))
    slowed = catalog.with_factors({3: Factors(pacing_ppm=500_000), 2: Factors(pacing_ppm=0)})
    assert bids(slowed) == [(3, 1500), (1, 1000)]
    assert bids(catalog) == [(3, 3000), (2, 2000), (1, 1000)]


def test_a_campaign_added_later_takes_its_place_by_price(
    make_campaign: Callable[..., Campaign],
) -> None:
    catalog = Catalog.build([make_campaign(1, bid_amount_micros=10)])
    catalog = catalog.with_campaign(make_campaign(2, bid_amount_micros=20))
    assert bids(catalog) == [(2, 20), (1, 10)]
    assert len(catalog) == 2


def test_factors_are_kept_for_campaigns_that_come_later(
    make_campaign: Callable[..., Campaign],
) -> None:
    catalog = Catalog.build().with_factors({5: Factors(pacing_ppm=100_000)})
    catalog = catalog.with_campaign(make_campaign(5, bid_amount_micros=1000))
    assert bids(catalog) == [(5, 100)]


def test_a_campaign_that_left_does_not_hold_the_others_up(
    make_campaign: Callable[..., Campaign],
) -> None:
    catalog = Catalog.build(make_campaign(n, bid_amount_micros=n * 10) for n in (1, 2))
    for gone in (
        catalog.without_campaign(1),
        catalog.with_campaign(make_campaign(1, status=Status.PAUSED)),
    ):
        assert bids(gone) == [(2, 20)]
        assert gone.campaign(1) is None


def test_those_beyond_the_first_positions_have_their_turn_by_their_bids(
    make_campaign: Callable[..., Campaign],
) -> None:
    count = FIRST_POSITIONS + 100
    catalog = Catalog.build(make_campaign(n, bid_amount_micros=n) for n in range(1, count + 1))
    assert [bid for _, bid in walk(catalog)] == list(range(count, 0, -1))
    # The cheapest ones stand last: one of them becomes the dearest, one comes, one leaves, and one
    # of the first bids no more.
    changed = (
        catalog.with_campaign(make_campaign(5, bid_amount_micros=2 * count))
        .with_campaign(make_campaign(count + 1, bid_amount_micros=3 * count))
        .without_campaign(7)
        .with_factors({count: Factors(pacing_ppm=0)})
    )
    assert [bid for _, bid in walk(changed)] == [
        *(3 * count, 2 * count),
        *(bid for bid in range(count - 1, 0, -1) if bid not in (5, 7)),
    ]
    assert [bid for _, bid in walk(catalog)] == list(range(count, 0, -1))


def test_who_stops_early_has_had_the_dearest(
    make_campaign: Callable[..., Campaign],
) -> None:
    catalog = Catalog.build(make_campaign(n, bid_amount_micros=n) for n in range(1, 1001))
    first = [bid for _, bid in islice(walk(catalog), 12)]
    assert first == list(range(1000, 988, -1))


@given(st.randoms(use_true_random=True))
def test_the_order_is_exact_whatever_happened_before(
    make_campaign: Callable[..., Campaign], random: Random
) -> None:
    campaigns = {n: make_campaign(n, bid_amount_micros=random.randint(1, 99)) for n in range(30)}
    factors: dict[int, Factors] = {}
    catalog = Catalog.build(campaigns.values())
    for _ in range(20):
        number = random.randrange(40)
        match random.randrange(3):
            case 0:
                campaigns[number] = make_campaign(number, bid_amount_micros=random.randint(1, 99))
                catalog = catalog.with_campaign(campaigns[number])
            case 1:
                campaigns.pop(number, None)
                catalog = catalog.without_campaign(number)
            case _:
                factors[number] = Factors(pacing_ppm=random.choice([0, 10**5, 10**6]))
                catalog = catalog.with_factors({number: factors[number]})
    expected = {
        number: campaign.bid_amount_micros * factors.get(number, Factors()).pacing_ppm // 10**6
        for number, campaign in campaigns.items()
    }
    found = bids(catalog)
    assert [bid for _, bid in found] == sorted(filter(None, expected.values()), reverse=True)
    assert dict(found) == {number: bid for number, bid in expected.items() if bid}
