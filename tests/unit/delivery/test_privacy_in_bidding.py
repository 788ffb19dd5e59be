"""What the bidder makes of a request's permissions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from adctl.delivery import reasons
from adctl.delivery.auction import Verdict
from adctl.delivery.bidding import Answer, Bidder
from adctl.delivery.catalog import Catalog
from adctl.delivery.privacy import PrivacyPolicy
from adctl.delivery.terms import Terms
from adctl.delivery.tokens import Signer
from adctl.models import FrequencyCap, Segments
from adctl.openrtb import BidRequest
from tests.unit.delivery.consent.encoding import VENDOR, consenting, encode_tc_string, some

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from adctl.delivery.auction import ImpAuction
    from adctl.models import Campaign

_TERMS = Terms("USD", "seat1", "https://t.example", True, 2, 12, 20, 60, 3600)
_CONSENT = encode_tc_string(consenting())
_NO_PROFILES = encode_tc_string(consenting(purposes_consent=some(24, [1, 2, 7])))


class Shelf(msgspec.Struct):
    current: Catalog


class DearestWins:
    def decide(
        self,
        auctions: Sequence[ImpAuction],
        user_hash: str,
        bucket: int,
        now_ms: int,
        *,
        test: bool = False,
    ) -> list[Verdict]:
        return [Verdict(0, 1_000_000, None, (reasons.WON,)) for _ in auctions]


def answer(policy: PrivacyPolicy, request: dict[str, Any], *campaigns: Campaign) -> Answer:
    terms = msgspec.structs.replace(_TERMS, privacy=policy)
    bidder = Bidder(
        Shelf(Catalog.build(campaigns)), DearestWins(), Signer({1: bytes(32)}), bytes(32), terms
    )
    whole = {"id": "r", "imp": [{"id": "1", "banner": {"w": 300, "h": 250}}], **request}
    return bidder.answer(msgspec.convert(whole, BidRequest), "default")


def under_gdpr(consent: str) -> dict[str, Any]:
    data = [{"segment": [{"id": "bikes"}]}]
    return {"regs": {"gdpr": 1}, "user": {"id": "someone", "consent": consent, "data": data}}


@pytest.mark.parametrize(("policy", "bids"), [("contextual", True), ("no_bid", False)])
def test_policy_decides_what_is_done_without_consent(
    make_campaign: Callable[..., Campaign], policy: Any, bids: bool
) -> None:
    answered = answer(PrivacyPolicy(VENDOR, policy), under_gdpr("garbage"), make_campaign(1))
    assert answered.decision.bid is bids
    assert answered.decision.reason == ("" if bids else reasons.PRIVACY)


@pytest.mark.parametrize(
    ("consent", "identified", "targeted"),
    [(_CONSENT, True, True), (_NO_PROFILES, True, False), ("garbage", False, False)],
)
def test_users_are_known_and_targeted_as_far_as_they_consent(
    make_campaign: Callable[..., Campaign], consent: str, identified: bool, targeted: bool
) -> None:
    campaign = make_campaign(1, segments=Segments(any=("bikes",)))
    answered = answer(PrivacyPolicy(VENDOR), under_gdpr(consent), campaign)
    assert answered.decision.bid is targeted
    # A capped campaign bids for users that are known only.
    capped = make_campaign(1, caps=(FrequencyCap(3, 3600),))
    assert answer(PrivacyPolicy(VENDOR), under_gdpr(consent), capped).decision.bid is identified


def test_no_part_of_a_user_is_recorded_without_consent(
    make_campaign: Callable[..., Campaign],
) -> None:
    request = {
        **under_gdpr("garbage"),
        "device": {"ifa": "some-ifa", "ip": "198.51.100.7", "geo": {"lat": 52.52, "lon": 13.4}},
    }
    answered = answer(PrivacyPolicy(VENDOR), request, make_campaign(1))
    assert answered.response is not None
    record = msgspec.json.encode([answered.decision, answered.response])
    for told in (b"someone", b"some-ifa", b"198.51", b"52.5", b"bikes", b"garbage"):
        assert told not in record
