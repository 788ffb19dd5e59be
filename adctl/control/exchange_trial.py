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
    from collections.abc import Iterator, Mapping, Sequence

    import redis

    from adctl.decisions import ImpDecision
    from adctl.delivery.auction import ImpAuction, Verdict
    from adctl.delivery.bidding import Answer
    from adctl.delivery.currency import Rates
    from adctl.delivery.targeting import Format
    from adctl.delivery.terms import Terms
    from adctl.delivery.tokens import Signer
    from adctl.openrtb import BidRequest, Imp

_MOST_EXPLAINED = 3


class Trial(NamedTuple):
    """What came of one impression of a request: ``answer`` is ``bid`` or a no-bid reason.

    ``why`` explains a missing bid, or who was outbid.

    ``price`` is in the account's currency, ``told`` as the exchange is told it.
    """

    request: str
    answer: str
    campaign: int | None
    campaign_name: str | None
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
    requests: Mapping[str, BidRequest] | None = None,
) -> list[Trial]:
    """Return what each of ``requests``, by their names, gets just now at ``exchange``.

    Without any it is what a sample of each kind gets. ``terms`` are the exchange's. Raises
    NotFoundError if Redis has no catalog, StoreUnavailableError if it does not answer.
    """
    store = CatalogStore(client)
    ids = store.active_ids()
    if ids is None:
        raise NotFoundError("Redis has no catalog; the pacer fills it within seconds")
    factors = SteeringStore(client).read(ids)
    catalog = Catalog.build(store.read(ids).values(), factors, default_max_micros)
    currency = terms.usual_currency or terms.currency
    index = catalog.index
    tried = requests or sample_requests(currency, terms.seat, index.formats, index.deals)
    # Nothing is counted of users here, so no key is needed to hash one.
    bidder = Bidder(Shelf(catalog), LookingLedger(client), signer, b"", terms, rates=rates)
    return [
        trial
        for name, request in tried.items()
        for trial in _trials(name, request, bidder.answer(request, exchange), catalog)
    ]


def _trials(name: str, request: BidRequest, answer: Answer, catalog: Catalog) -> Iterator[Trial]:
    """Yield what came of each impression, or once of a request that was refused as a whole."""
    names = {one.id: one.name for one in filter(None, catalog.index.campaigns)}
    by_imp: dict[str, list[ImpDecision]] = {}
    for decided in answer.decision.imps:
        by_imp.setdefault(decided.imp_id, []).append(decided)
    for imp in request.imp if by_imp else request.imp[:1]:
        called = f"{name} imp {imp.id}" if by_imp and len(request.imp) > 1 else name
        found = by_imp.get(imp.id, [])
        won = next((one for one in found if one.winner), None)
        if won is None:
            why = _why(imp, request, answer, found, catalog, names)
            reason = next((one.reason for one in found if one.reason), answer.decision.reason)
            yield Trial(called, reason, None, None, None, None, None, None, why)
        else:
            yield _bid(called, won, answer, names)


def _bid(called: str, won: ImpDecision, answer: Answer, names: Mapping[int, str]) -> Trial:
    why = f"outbid: {_campaign(won.runner_up, names)}" if won.runner_up else ""
    response = answer.response
    bids = [bid for seat in response.seatbid for bid in seat.bid] if response else []
    currency = response.cur if response else ""
    told = [f"{bytes(bid.price).decode()} {currency}" for bid in bids if bid.impid == won.imp_id]
    return Trial(
        called,
        "bid",
        won.winner,
        names.get(won.winner),
        won.creative_id,
        format_micros(won.price_cpm_micros),
        told[0] if told else None,
        won.deal_id or None,
        why,
    )


def _campaign(number: int, names: Mapping[int, str]) -> str:
    return f"campaign {number} ({names[number]})" if number in names else f"campaign {number}"


def _why(
    imp: Imp,
    request: BidRequest,
    answer: Answer,
    decided: Sequence[ImpDecision],
    catalog: Catalog,
    names: Mapping[int, str],
) -> str:
    outcomes = [
        f"{_campaign(one.campaign_id, names)}: {one.reason}"
        for each in decided
        for one in each.candidates
    ]
    if not outcomes and reasons.NO_CAMPAIGN in {
        answer.decision.reason,
        *(d.reason for d in decided),
    }:
        outcomes = list(_mismatches(imp, request, catalog))
    more = len(outcomes) - _MOST_EXPLAINED
    listed = "; ".join(outcomes[:_MOST_EXPLAINED])
    return f"{listed}; and {more} more" if more > 0 else listed


def _mismatches(imp: Imp, request: BidRequest, catalog: Catalog) -> Iterator[str]:
    attributes = attributes_of(request, segments=False, precise_location=False)
    now = datetime.now(UTC)
    formats = _formats(imp)
    for campaign in filter(None, catalog.index.campaigns):
        told = explain_mismatch(campaign, attributes, formats, now)
        why = ", ".join(told) or "its pace lets it wait"
        yield f"campaign {campaign.id} ({campaign.name}): {why}"


def _formats(imp: Imp) -> set[Format]:
    formats: set[Format] = set(offered_sizes(imp.banner)) if imp.banner else set()
    kinds = {
        CreativeKind.VIDEO: imp.video,
        CreativeKind.AUDIO: imp.audio,
        CreativeKind.NATIVE: imp.native,
    }
    return formats | {(kind,) for kind, part in kinds.items() if part is not None}
