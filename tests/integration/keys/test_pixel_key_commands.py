"""``adctl key`` for advertisers' keys."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from adctl.delivery.advertiser_keys import AdvertiserKeys
from adctl.errors import ForgedTokenError
from adctl.stores.secrets import load_signing
from tests.integration.keys.key_desk import WINDOW_SEC, on_the_page

if TYPE_CHECKING:
    from tests.integration.keys.key_desk import Desk


@pytest.fixture
def acme(desk: Desk) -> Desk:
    desk.done("advertiser create --name Acme")
    desk.done("advertiser create --name Other")
    return desk


def pixel(desk: Desk) -> str:
    shown = json.loads(desk.done("advertiser pixel Acme --output json"))
    return str(shown["advertiser_key"])


def test_every_advertiser_has_a_key_of_its_own_from_the_start(acme: Desk) -> None:
    listed = acme.listed(options="--kind pixel")
    assert {(row["id"], row["owner"], row["state"]) for row in listed.values()} == {
        ("1.p1", "Acme", "signs"),
        ("2.p1", "Other", "signs"),
    }
    assert set(acme.listed(options="--advertiser Other")) == {"2.p1"}
    assert set(acme.listed(options="")) == {"1", "1.p1", "2.p1"}


def test_a_pixel_outlives_the_signing_key_of_its_day(acme: Desk) -> None:
    key = pixel(acme)
    acme.done("key add")
    acme.tell(1, 2)
    acme.done("key promote 2")
    acme.done("key retire 1 --force --yes")
    assert pixel(acme) == key
    verifying = AdvertiserKeys(load_signing(acme.settings).user_key)
    assert verifying.verify(key) == 1


def test_an_advertisers_key_is_replaced_and_retired_once_nobody_uses_it(acme: Desk) -> None:
    first = pixel(acme)
    assert acme.done("key add --advertiser Acme") == "1.p2"
    assert pixel(acme) == first
    acme.done("key promote 1.p2")
    second = pixel(acme)
    assert second.startswith("1.p2.")
    assert "the one its advertiser is given" in acme.refused("key retire 1.p2 --yes")
    acme.refused("key retire 1.p1 --yes")
    acme.pass_time(WINDOW_SEC + 5)
    acme.holders.note_pixels(["1.p1"], acme.holders.now_ms())
    told = acme.refused("key retire p1 --advertiser Acme --yes")
    assert "it was last used at" in told
    acme.pass_time(WINDOW_SEC + 5)
    acme.done("key retire 1 --advertiser Acme --yes")
    assert set(acme.listed(options="--advertiser Acme")) == {"1.p2"}
    verifying = AdvertiserKeys(load_signing(acme.settings).user_key)
    verifying.retired = acme.holders.retired(frozenset())
    assert verifying.verify(second) == 1
    with pytest.raises(ForgedTokenError, match="retired"):
        verifying.verify(first)
    assert [row[2] for row in acme.audit()[2:]] == ["key.add", "key.promote", "key.retire"]
    assert acme.done("key add --advertiser Acme") == "1.p3"


def test_a_redis_that_forgot_what_is_retired_is_told_again(acme: Desk) -> None:
    acme.done("key add --advertiser Acme")
    acme.done("key promote 1.p2")
    acme.done("key retire 1.p1 --force --yes")
    acme.redis.flushdb()
    known = frozenset({"1.p1"})
    assert acme.holders.retired(known) == known
    acme.record.note()
    assert acme.holders.retired(frozenset()) == known


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("key promote 2.p1 --advertiser Acme", 3),
        ("key promote 1.p2", 5),
        ("key promote 9.p1", 5),
        ("key add --advertiser Nobody", 5),
        ("key list --advertiser Nobody", 5),
        ("key retire 1.p9 --yes", 5),
        ("key retire 1.p99999 --yes", 5),
    ],
)
def test_a_key_of_nobody_is_refused(acme: Desk, line: str, code: int) -> None:
    acme.refused(line, code=code)


def test_the_page_on_pixel_keys_works_word_for_word(desk: Desk) -> None:
    for name in ("a", "b", "c", "d", "e", "f", "Acme"):
        desk.done(f"advertiser create --name {name}")
    added, promoted, shown, retired = on_the_page(1)
    assert desk.done(added) == "7.p2"
    desk.done(promoted)
    assert "7.p2." in desk.done(shown)
    desk.refused(retired)
    desk.pass_time(WINDOW_SEC + 60)
    desk.done(retired)
