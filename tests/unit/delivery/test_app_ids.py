from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adctl.delivery.app_ids import STORES, app_id, app_of, normal_app, normal_apps
from tests.unit.delivery.spellings import BUNDLES, NUMBERS, WAYS_OF_BUNDLES, WAYS_OF_NUMBERS

if TYPE_CHECKING:
    from collections.abc import Callable

# An address of each store, with what names the app in it.
OF_STORES = {
    "Apple App Store": [
        ("https://apps.apple.com/us/app/a-name/id123456789", "123456789"),
        ("https://apps.apple.com/de/app/id123456789?mt=8", "123456789"),
        ("https://geo.itunes.apple.com/us/app/a/id123456789?mt=8", "123456789"),
        ("https://itunes.apple.com/WebObjects/MZStore.woa/wa/viewSoftware?mt=8&id=12345", "12345"),
        ("https://itunes.apple.com/lookup?id=123456789", "123456789"),
        ("macappstore://apps.apple.com/app/id123456789", "123456789"),
    ],
    "Google Play": [
        ("https://play.google.com/store/apps/details?id=com.example.App", "com.example.app"),
        ("https://play.google.com/store/apps/details/A_Name?hl=de&id=com.example", "com.example"),
        ("http://market.android.com/details?id=com.example", "com.example"),
        ("https://play.google.com/apps/testing/com.example", "com.example"),
    ],
    "Amazon Appstore": [
        ("https://www.amazon.com/Some-Name/dp/B00KDSGIPK/ref=sr_1_1?s=apps", "b00kdsgipk"),
        ("https://www.amazon.co.uk/gp/product/B00KDSGIPK", "b00kdsgipk"),
        ("https://www.amazon.de/gp/mas/dl/android?p=com.example", "com.example"),
    ],
    "Roku Channel Store": [
        ("https://channelstore.roku.com/details/12/netflix", "12"),
        ("https://channelstore.roku.com/en-gb/details/12/netflix", "12"),
        ("https://my.roku.com/account/add?channel=CODE7", "code7"),
    ],
    "Samsung": [
        ("https://galaxystore.samsung.com/detail/com.example?langCd=en", "com.example"),
        ("https://apps.samsung.com/appquery/appDetail.as?appId=com.example", "com.example"),
        ("https://www.samsung.com/us/appstore/app/G15147002586/", "g15147002586"),
    ],
    "LG": [("https://us.lgappstv.com/main/tvapp/detail?appId=128519&catCode1=", "128519")],
    "Vizio": [("https://www.vizio.com/en/smart-tv-apps?appName=N&appId=vizio.n", "vizio.n")],
    "Huawei AppGallery": [
        ("https://appgallery.huawei.com/app/C101234567", "c101234567"),
        ("https://appgallery.huawei.com/#/app/C101234567?locale=de", "c101234567"),
        ("https://appgallery.cloud.huawei.com/ag/n/app/C101234567", "c101234567"),
    ],
    "Xiaomi": [("https://global.app.mi.com/details?id=com.example", "com.example")],
    "Microsoft": [
        ("https://apps.microsoft.com/detail/9wzdncrfj3tj?hl=en", "9wzdncrfj3tj"),
        ("https://www.microsoft.com/en-us/p/a-name/9WZDNCRFJ3TJ", "9wzdncrfj3tj"),
        ("https://www.xbox.com/en-US/games/store/a-name/9WZDNCRFJ3TJ", "9wzdncrfj3tj"),
    ],
    "PlayStation": [("https://store.playstation.com/en-us/product/UP0006-CUSA00", "up0006-cusa00")],
    "F-Droid": [("https://f-droid.org/en/packages/org.example/", "org.example")],
    "ONE store": [("https://onestore.co.kr/userpoc/apps/view?prodId=0000760", "0000760")],
}


@settings(max_examples=200, deadline=None)
@given(NUMBERS, WAYS_OF_NUMBERS)
def test_an_apple_number_has_one_spelling(number: str, way: Callable[[str], str]) -> None:
    assert normal_app(way(number)) == app_of(way(number)) == number


@settings(max_examples=200, deadline=None)
@given(BUNDLES, WAYS_OF_BUNDLES)
def test_a_bundle_has_one_spelling(bundle: str, way: Callable[[str], str]) -> None:
    assert normal_app(way(bundle)) == app_of(way(bundle)) == bundle


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(), st.text(alphabet="aZ0id./:?=&#_-%", max_size=30)))
def test_a_normal_app_is_its_own_normal_form_whatever_it_was_read_from(text: str) -> None:
    assert normal_app(normal_app(text)) == normal_app(text)


def test_every_store_s_addresses_are_read() -> None:
    assert {store.name for store in STORES} == set(OF_STORES)


@pytest.mark.parametrize(("address", "app"), [pair for of in OF_STORES.values() for pair in of])
def test_an_app_s_address_in_a_store_names_it(address: str, app: str) -> None:
    assert normal_app(address) == app


@pytest.mark.parametrize(
    ("address", "app"),
    [
        ("android-app://com.example/https/www.example", "com.example"),
        ("samsungapps://ProductDetail/com.example", "com.example"),
        ("amzn://apps/android?asin=B00KDSGIPK", "b00kdsgipk"),
        ("ms-windows-store://pdp/?ProductId=9WZDNCRFJ3TJ", "9wzdncrfj3tj"),
        ("intent://details?id=com.example#Intent;scheme=market;end", "com.example"),
    ],
)
def test_addresses_that_stores_programs_open_name_the_app(address: str, app: str) -> None:
    assert normal_app(address) == app


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "unknown", "null", "N/A", "undefined", "0", "${BUNDLE}", "__BUNDLE__", "a b"),
        *("https://example.com/app/id5", "https://apps.apple.com/us/developer/x/id99", "{app}"),
        *("https://play.google.com/store/apps/dev?id=123", "x" * 3000, "https:"),
        "https://apps.apple.com.evil.example/us/app/x/id123456789",
    ],
)
def test_what_names_no_app_is_none(text: str) -> None:
    assert normal_app(text) == ""


def test_an_id_keeps_its_letters_where_it_is_told_to_others() -> None:
    assert app_id("https://play.google.com/store/apps/details?id=com.Example.App") == (
        "com.Example.App"
    )
    assert app_id("id123456789") == "123456789"


def test_a_list_s_apps_are_compared_in_one_spelling() -> None:
    assert normal_apps(["id5", "COM.x", "a b"]) == {"5", "com.x", ""}


def test_an_address_made_to_take_long_does_not() -> None:
    for text in ("https://apps.apple.com" + "/app" * 500, "https://x.xbox.com" + "/p" * 1000):
        assert normal_app(text) == ""
