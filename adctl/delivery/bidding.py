"""From a bid request to its answer: the eight steps of a bid, without a server around them."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Protocol

import msgspec

from adctl.decisions import Decision, ImpDecision
from adctl.delivery import reasons
from adctl.delivery.auction import Candidate, ImpAuction, Ledger, Verdict, Vote, outcomes
from adctl.delivery.auctions import auctions_of, has_one_auction
from adctl.delivery.candidates import CandidateSearch
from adctl.delivery.currency import Rates
from adctl.delivery.eligibility import (
    CreativeRules,
    request_refusal,
)
from adctl.delivery.enough import Enough
from adctl.delivery.markup import ad_of, ratio_of
from adctl.delivery.place import place_of
from adctl.delivery.privacy import permissions_of, permitted_user_id
from adctl.delivery.steps import at_once
from adctl.delivery.supply_chain import chain_refusal
from adctl.delivery.targeting import attributes_of
from adctl.delivery.tokens import BidToken, Signer, hash_user
from adctl.delivery.tracking_urls import tracking_urls
from adctl.errors import StoreUnavailableError
from adctl.money import format_micros
from adctl.openrtb import Bid, BidResponse, SeatBid

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from adctl.delivery.catalog import Catalog
    from adctl.delivery.consent.permissions import Permissions
    from adctl.delivery.currency import RatesForBids
    from adctl.delivery.place import Place
    from adctl.delivery.steps import Steps
    from adctl.delivery.terms import Terms
    from adctl.openrtb import BidRequest, Imp, Unread

_NO_RATIO = (None, None)
_BID_ID_BYTES = 12
_IDS_TOGETHER = 256


class CatalogSource(Protocol):
    """Where the catalog of the moment is; it may be another at every call."""

    @property
    def current(self) -> Catalog:
        """Return the catalog to decide on."""


class RatesSource(Protocol):
    """Where the exchange rates of the moment are; they may be others at every call."""

    @property
    def current(self) -> Rates:
        """Return the rates to convert by."""


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What to send (None: no bid), and the record of why."""

    decision: Decision
    response: BidResponse | None = None


class Bidder:
    """Answers bid requests. Stateless but for what it is given; one per worker.

    ``exchanges`` has the terms of those that are treated otherwise than ``terms`` say.
    """

    def __init__(
        self,
        catalog: CatalogSource,
        ledger: Ledger,
        signer: Signer,
        user_key: bytes,
        terms: Terms,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        make_bid_id: Callable[[], str] | None = None,
        rates: RatesSource | None = None,
        exchanges: Mapping[str, Terms] | None = None,
    ) -> None:
        self.ledger = ledger
        self._exchanges = exchanges or {}
        self._catalog = catalog
        self._signer = signer
        self._user_key = user_key
        self._terms = terms
        self._rates = rates or Rates(terms.currency)
        self._clock_ms = clock_ms
        self._make_bid_id = make_bid_id or _bid_ids().__next__
        self._enough = Enough()

    def answer(self, request: BidRequest, exchange: str) -> Answer:
        """Return the answer to ``request``; what it may cost has then been reserved."""
        return at_once(self.steps(request, exchange), self.ledger)

    def steps(self, request: BidRequest, exchange: str) -> Steps[Answer]:
        """Take the steps to the answer; whoever takes them asks the ledger for the verdicts."""
        now_ms = self._clock_ms()
        terms = self._exchanges.get(exchange, self._terms)
        permissions = permissions_of(request, terms.privacy)
        rates = self._rates.current
        refusal = _refusal(request, terms, terms.currency)
        if refusal == reasons.CURRENCY and (foreign := _rates_for_bids(request, terms, rates)):
            rates, refusal = foreign, _refusal(request, terms, foreign.bid_currency.code)
        refusal = refusal or ("" if permissions.bid else reasons.PRIVACY)
        place = place_of(request)
        if refusal:
            return Answer(_decision(request, place, exchange, now_ms, refusal))
        user_id = permitted_user_id(request, permissions, terms.identity)
        user_hash = hash_user(self._user_key, user_id) if user_id else ""
        search = self._search(request, terms, rates, permissions, user_hash, now_ms)
        yield None
        search.prepare(request.imp[: terms.max_imps])
        yield None
        search.match()
        yield None
        # What has one auction can be asked again: nothing else was decided with it.
        few = self._enough.few if has_one_auction(request) else None
        identified = bool(user_hash)
        auctions, refused = auctions_of(
            request, search, terms.max_imps, identified=identified, few=few
        )
        # Nothing is reserved for an answer that would come too late.
        if _is_late(request, terms, self._clock_ms() - now_ms):
            return Answer(_decision(request, place, exchange, now_ms, reasons.TIMEOUT))
        verdicts: list[Verdict] = []
        try:
            if auctions:
                verdicts = yield from self._asked(request, auctions, user_hash, now_ms)
                if not verdicts:
                    auctions, refused = auctions_of(
                        request, search, terms.max_imps, identified=identified
                    )
                    verdicts = yield from self._asked(request, auctions, user_hash, now_ms)
        except StoreUnavailableError:
            return Answer(_decision(request, place, exchange, now_ms, reasons.UNAVAILABLE))
        yield None
        bids, decided = self._bids(
            request, place, auctions, verdicts, exchange, terms, rates, user_hash, now_ms
        )
        yield None
        imps = (*decided, *refused)
        if request.unread is not None:
            imps += _unreadable(request.unread)
        reason = "" if bids else next((imp.reason for imp in imps), reasons.NO_CAMPAIGN)
        decision = _decision(request, place, exchange, now_ms, reason, imps)
        return Answer(decision, _response(request, bids, terms, rates) if bids else None)

    def _bucket(self, now_ms: int) -> int:
        return now_ms // (self._terms.reservation_bucket_sec * 1000)

    def _asked(
        self, request: BidRequest, auctions: list[ImpAuction], user_hash: str, now_ms: int
    ) -> Generator[Vote, list[Verdict] | None, list[Verdict]]:
        bucket = self._bucket(now_ms)
        told = yield Vote(auctions, user_hash, bucket, now_ms, test=bool(request.test))
        verdicts = told or []
        if len(auctions) == 1:
            self._enough.note(sufficed=bool(verdicts))
        return verdicts

    def _search(
        self,
        request: BidRequest,
        terms: Terms,
        rates: Rates,
        permissions: Permissions,
        user_hash: str,
        now_ms: int,
    ) -> CandidateSearch:
        identified = bool(user_hash)
        attributes = attributes_of(
            request,
            segments=identified and permissions.segments,
            precise_location=identified and permissions.precise_location,
        )
        page = request.imp if request.allimps else ()
        return CandidateSearch(
            self._catalog.current,
            attributes,
            CreativeRules(request),
            terms,
            rates,
            now_ms,
            page,
        )

    def _bids(
        self,
        request: BidRequest,
        place: Place,
        auctions: list[ImpAuction],
        verdicts: list[Verdict],
        exchange: str,
        terms: Terms,
        rates: Rates,
        user_hash: str,
        now_ms: int,
    ) -> tuple[list[Bid], list[ImpDecision]]:
        bids, decided = [], []
        imps = {imp.id: imp for imp in request.imp}
        test = bool(request.test)
        for auction, verdict in zip(auctions, verdicts, strict=True):
            if verdict.winner is None:
                decided.append(_undecided(auction, verdict))
                continue
            winner = auction.candidates[verdict.winner]
            bid_id = self._make_bid_id()
            token = BidToken(
                bid_id=bid_id,
                campaign_id=winner.campaign.id,
                creative_id=winner.creative.id,
                exchange=exchange,
                price_cpm_micros=verdict.price_cpm_micros,
                bid_at_ms=now_ms,
                bucket=self._bucket(now_ms),
                user_hash=user_hash,
                # A test is not counted against a user's caps, either.
                cap_windows=() if test else tuple([cap.window_sec for cap in winner.caps]),
                test=test,
                quantity_ppm=auction.quantity_ppm,
                currency=rates.bid_currency,
                shard=verdict.shard,
                advertiser_id=winner.campaign.advertiser_id,
                place=place,
            )
            bids.append(self._bid(imps[auction.imp_id], winner, token, terms))
            decided.append(
                ImpDecision(
                    imp_id=auction.imp_id,
                    bidfloor_micros=auction.bidfloor_micros,
                    deal_id=winner.deal_id,
                    winner=winner.campaign.id,
                    creative_id=winner.creative.id,
                    bid_id=bid_id,
                    price_cpm_micros=verdict.price_cpm_micros,
                    runner_up=_campaign_id(auction, verdict.runner_up),
                    candidates=outcomes(auction, verdict),
                    passed_over=auction.passed_over,
                )
            )
        return bids, decided

    def _bid(self, imp: Imp, winner: Candidate, token: BidToken, terms: Terms) -> Bid:
        urls = tracking_urls(terms.tracker_url, self._signer, token, terms.notices)
        creative = winner.creative
        markup, fields = ad_of(creative, imp, urls, token.bid_id)
        ratio = ratio_of(creative, imp.banner) or _NO_RATIO
        return Bid(
            id=token.bid_id,
            impid=imp.id,
            price=msgspec.Raw(format_micros(token.asked_cpm_micros).encode()),
            adm=markup,
            nurl=urls.nurl,
            burl=urls.burl,
            lurl=urls.lurl,
            adomain=creative.adomain,
            cid=str(winner.campaign.id),
            crid=str(creative.id),
            w=fields.w,
            h=fields.h,
            wratio=ratio[0],
            hratio=ratio[1],
            mtype=fields.mtype,
            dealid=winner.deal_id or None,
            dur=fields.dur,
            protocol=fields.protocol,
            apis=fields.apis,
            exp=terms.reservation_ttl_sec,
            cat=creative.cat,
            cattax=creative.cattax if creative.cat else None,
            attr=fields.attr,
            language=creative.language or None,
            bundle=creative.app_bundle or None,
        )


def _bid_ids() -> Iterator[str]:
    # Asking the kernel for one takes longer than all else about it.
    while True:
        many = os.urandom(_BID_ID_BYTES * _IDS_TOGETHER).hex()
        for at in range(0, len(many), 2 * _BID_ID_BYTES):
            yield many[at : at + 2 * _BID_ID_BYTES]


def _unreadable(unread: Unread) -> tuple[ImpDecision, ...]:
    """Return the decisions on impressions of which too much could not be read."""
    return tuple(ImpDecision(imp_id, 0, reason=reasons.UNREADABLE) for imp_id in unread.imps)


def _refusal(request: BidRequest, terms: Terms, currency: str) -> str:
    if request.unread is not None and request.unread.refused:
        return reasons.UNREADABLE
    if _is_late(request, terms, 0):
        return reasons.TIMEOUT
    return request_refusal(request, currency, terms.seat, terms.usual_currency) or chain_refusal(
        request.source, require_complete=terms.require_complete_schain
    )


def _rates_for_bids(request: BidRequest, terms: Terms, rates: Rates) -> RatesForBids | None:
    """Return the rates to bid under where the exchange does not take the account's currency."""
    return rates.for_bids_in(request.cur or (terms.usual_currency,))


def _is_late(request: BidRequest, terms: Terms, took_ms: int) -> bool:
    """Return whether the exchange would not hear an answer that is sent now."""
    # A tmax of 0 or less tells nothing and is read as none.
    tmax = request.tmax
    return tmax is not None and 0 < tmax <= terms.network_margin_ms + took_ms


def _response(request: BidRequest, bids: list[Bid], terms: Terms, rates: Rates) -> BidResponse:
    return BidResponse(
        id=request.id,
        seatbid=[SeatBid(bid=bids, seat=terms.seat)],
        bidid=bids[0].id,
        cur=rates.bid_currency.code if rates.bid_currency else terms.currency,
    )


def _undecided(auction: ImpAuction, verdict: Verdict) -> ImpDecision:
    return ImpDecision(
        imp_id=auction.imp_id,
        bidfloor_micros=auction.bidfloor_micros,
        reason=verdict.no_bid_reason,
        candidates=outcomes(auction, verdict),
        passed_over=auction.passed_over,
    )


def _campaign_id(auction: ImpAuction, place: int | None) -> int:
    return 0 if place is None else auction.candidates[place].campaign.id


def _decision(
    request: BidRequest,
    place: Place,
    exchange: str,
    now_ms: int,
    reason: str,
    imps: tuple[ImpDecision, ...] = (),
) -> Decision:
    return Decision(
        request_id=request.id[:128],
        exchange=exchange,
        decided_at_ms=now_ms,
        bid=not reason,
        reason=reason,
        imps=imps,
        domain=place.site,
        country=place.country,
        device=place.device,
        test=bool(request.test),
    )
