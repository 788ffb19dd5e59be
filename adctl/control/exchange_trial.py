"""Trying an exchange: sample requests through the real bidder, without spending anything."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from adctl.control.exchange_samples import sample_requests
from adctl.delivery import reasons
from adctl.delivery.bidding import Bidder
from adctl.delivery.catalog import Catalog
from adctl.delivery.eligibility import offered_sizes
from adctl.delivery.mismatch import explain_mismatch
from adctl.delivery.targeting import attributes_of
from adctl.errors import NotFoundError
from adctl.models import CreativeKind
from adctl.money import format_micros
from adctl.stores.auction_ledger import RedisLedger
from adctl.stores.catalog import CatalogStore
from adctl.stores.redis import ClientScripts
from adctl.stores.steering import SteeringStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import redis

    from adctl.delivery.auction import ImpAuction, Verdict
    from adctl.delivery.bidding import Answer
    from adctl.delivery.currency import Rates
    from adctl.delivery.targeting import Format
    from adctl.delivery.terms import Terms
    from adctl.delivery.tokens import Signer
    from adctl.openrtb import BidRequest, Imp

_MOST_EXPLAINED = 3


class Trial(NamedTuple):
    """What came of one sample request. ``why`` explains a missing bid, or who was outbid.

    ``price`` is in the account's currency, ``told`` as the exchange is told it.
    """

    request: str
    answer: str
    campaign: int | None
    creative: int | None
    price: str | None
    told: str | None
    deal: str | None
    why: str


class Shelf(NamedTuple):
    """A catalog that does not change."""

    current: Catalog


class LookingLedger:
    """Decides as the bidder's ledger does, and reserves nothing."""

    def __init__(self, client: redis.Redis) -> None:
        # Holds are counted for identified users only, and no sample names one.
        self._ledger = RedisLedger(ClientScripts(client), hold_sec=1)

    def decide(
        self,
        auctions: Sequence[ImpAuction],
        user_hash: str,
        bucket: int,
        now_ms: int,
        *,
        test: bool = True,
    ) -> list[Verdict]:
        """See Ledger."""
        del test
        return self._ledger.decide(auctions, user_hash, bucket, now_ms, test=True)


def try_exchange(
    terms: Terms,
    exchange: str,
    client: redis.Redis,
    signer: Signer,
    rates: Rates,
    default_max_micros: int,
) -> list[Trial]:
    """Return what each sample request gets just now at ``exchange``, whose terms these are.

    Raises NotFoundError if Redis has no catalog, StoreUnavailableError if it does not answer.
    """
    store = CatalogStore(client)
    ids = store.active_ids()
    if ids is None:
        raise NotFoundError("Redis has no catalog; the pacer fills it within seconds")
    factors = SteeringStore(client).read(ids)
    catalog = Catalog.build(store.read(ids).values(), factors, default_max_micros)
    currency = terms.usual_currency or terms.currency
    samples = sample_requests(currency, terms.seat, catalog.index.formats, catalog.index.deals)
    # No sample names a user, so no key is needed to hash one.
    bidder = Bidder(Shelf(catalog), LookingLedger(client), signer, b"", terms, rates=rates)
    return [
        _trial(name, request, bidder.answer(request, exchange), catalog)
        for name, request in samples.items()
    ]


def _trial(name: str, request: BidRequest, answer: Answer, catalog: Catalog) -> Trial:
    won = next((imp for imp in answer.decision.imps if imp.winner), None)
    response = answer.response
    if won is None or response is None:
        reason = answer.decision.reason
        return Trial(name, reason, None, None, None, None, None, _why(request, answer, catalog))
    price = format_micros(won.price_cpm_micros)
    why = f"outbid: campaign {won.runner_up}" if won.runner_up else ""
    told = f"{bytes(response.seatbid[0].bid[0].price).decode()} {response.cur}"
    return Trial(name, "bid", won.winner, won.creative_id, price, told, won.deal_id or None, why)


def _why(request: BidRequest, answer: Answer, catalog: Catalog) -> str:
    outcomes = [
        f"campaign {one.campaign_id}: {one.reason}"
        for imp in answer.decision.imps
        for one in imp.candidates
    ]
    if not outcomes and answer.decision.reason == reasons.NO_CAMPAIGN:
        outcomes = list(_mismatches(request, catalog))
    more = len(outcomes) - _MOST_EXPLAINED
    listed = "; ".join(outcomes[:_MOST_EXPLAINED])
    return f"{listed}; and {more} more" if more > 0 else listed


def _mismatches(request: BidRequest, catalog: Catalog) -> Iterator[str]:
    attributes = attributes_of(request, segments=False, precise_location=False)
    now = datetime.now(UTC)
    formats = _formats(request.imp[0])
    for campaign in filter(None, catalog.index.campaigns):
        told = explain_mismatch(campaign, attributes, formats, now)
        yield f"campaign {campaign.id}: {', '.join(told) or 'its pace lets it wait'}"


def _formats(imp: Imp) -> set[Format]:
    formats: set[Format] = set(offered_sizes(imp.banner)) if imp.banner else set()
    kinds = {
        CreativeKind.VIDEO: imp.video,
        CreativeKind.AUDIO: imp.audio,
        CreativeKind.NATIVE: imp.native,
    }
    return formats | {(kind,) for kind, part in kinds.items() if part is not None}
