"""The tour's request is one that the tour's campaign is for, and the demo's excerpt is current."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from adctl.delivery.tokens import BidToken, Purpose, Signer
from adctl.errors import ForgedTokenError
from adctl.openrtb import decode_request

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text()
REQUEST = decode_request((ROOT / "docs" / "examples" / "bid-request.json").read_bytes())


def option_of(command: str, name: str) -> str:
    """Return an option's value in the tour's command line that begins so."""
    line = next(
        line
        for line in README.replace("\\\n", " ").splitlines()
        if line.startswith(f"$ adctl {command}")
    )
    words = shlex.split(line)
    return words[words.index(name) + 1]


def test_the_tour_s_request_comes_from_the_targeted_country() -> None:
    assert REQUEST.device is not None
    assert REQUEST.device.geo is not None
    assert REQUEST.device.geo.country == option_of("campaign create", "--country")


def test_the_tour_s_request_asks_for_the_creative_s_size() -> None:
    banner = REQUEST.imp[0].banner
    assert banner is not None
    sizes = [f"{size.w}x{size.h}" for size in banner.format or ()]
    assert sizes == [option_of("creative create", "--size")]


def test_the_tour_looks_for_the_user_of_its_request() -> None:
    assert REQUEST.user is not None
    assert f"$ adctl fcap show {REQUEST.user.id}\n" in README


def test_the_tour_s_answer_is_an_answer_to_its_request() -> None:
    (answer,) = re.findall(r'^\{"id":"([^"]+)","seatbid"', README, re.MULTILINE)
    assert answer == REQUEST.id


def test_the_tour_s_tampered_url_is_refused_for_its_signature() -> None:
    [(genuine, tampered)] = re.findall(r"\$\{url/t=(\w+)/t=(\w+)\}", README)
    signer = Signer({1: bytes(32)})
    bid = BidToken("00" * 12, 1, 1, "default", 2_000_000, 0, 1, advertiser_id=1)
    text = signer.sign(bid)[Purpose.IMPRESSION]
    assert text.startswith(genuine)
    with pytest.raises(ForgedTokenError, match="the signature does not fit"):
        signer.verify(text.replace(genuine, tampered, 1), Purpose.IMPRESSION, 0, 3600)


def test_the_excerpt_of_the_demo_shows_claims_the_demo_makes() -> None:
    (table,) = re.findall(
        r"^ claim +holds +found\n ─+\n(.*?)\n\n", README, re.DOTALL | re.MULTILINE
    )
    claims = [re.split(r" {2,}", line.strip())[0] for line in table.splitlines()]
    audit = (ROOT / "adctl" / "demo" / "summary.py").read_text()
    assert len(claims) > 3
    assert [claim for claim in claims if f'"{claim}"' not in audit] == []
