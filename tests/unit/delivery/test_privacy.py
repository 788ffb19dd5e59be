import msgspec
import pytest

from adctl.delivery.privacy import permitted_user_id
from adctl.openrtb import BidRequest


def request(**parts: object) -> BidRequest:
    whole = {"id": "r", "imp": [{"id": "1"}], "user": {"id": "u1"}, **parts}
    return msgspec.convert(whole, BidRequest)


def test_user_is_known_when_nothing_forbids_it() -> None:
    assert permitted_user_id(request()) == "u1"


def test_our_own_id_comes_before_the_exchanges_and_the_devices() -> None:
    known = request(user={"id": "u1", "buyeruid": "ours"}, device={"ifa": "d1"})
    assert permitted_user_id(known) == "ours"
    assert permitted_user_id(request(user={}, device={"ifa": "d1"})) == "d1"


@pytest.mark.parametrize(
    "parts",
    [
        {"regs": {"coppa": 1}},
        {"regs": {"gdpr": 1}},
        {"regs": {"gdpr": 2}},
        {"regs": {"ext": {"gdpr": 1}}},
        {"regs": {"us_privacy": "1YYN"}},
        {"regs": {"us_privacy": "1Y-N"}},
        {"regs": {"us_privacy": "banana"}},
        {"regs": {"ext": {"us_privacy": "1NYN"}}},
        {"regs": {"gpp": "DBABM~x"}},
        {"regs": {"gpp_sid": [7]}},
        {"regs": {"ext": {"gpc": "1"}}},
        {"device": {"lmt": 1}},
        {"device": {"dnt": 1}},
        {"user": {}},
        {"user": None},
    ],
)
def test_user_is_unknown_under_any_restriction(parts: dict[str, object]) -> None:
    assert permitted_user_id(request(**parts)) is None


@pytest.mark.parametrize(
    "regs", [{}, {"gdpr": 0}, {"us_privacy": "1---"}, {"us_privacy": "1YNN"}, {"coppa": 0}]
)
def test_regulations_that_do_not_apply_forbid_nothing(regs: dict[str, object]) -> None:
    assert permitted_user_id(request(regs=regs)) == "u1"
