from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adctl.delivery.markup import banner_markup
from adctl.delivery.tracking_urls import TrackingUrls

if TYPE_CHECKING:
    from collections.abc import Callable

    from adctl.models import Creative

IMPRESSION = "https://t.example/track/impression?t=abc&p=${AUCTION_PRICE}"
CLICK = "https://t.example/track/click?t=abc"
URLS = TrackingUrls(nurl="n", burl="b", lurl="l", impression=IMPRESSION, click=CLICK)


class Reading(HTMLParser):
    """The tags of a markup as a browser reads them."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_image_is_wrapped_in_its_click_and_followed_by_its_pixel(
    make_creative: Callable[..., Creative],
) -> None:
    creative = make_creative(image_url="https://cdn.example/a.png")
    read = Reading(banner_markup(creative, URLS))
    assert [tag for tag, _ in read.tags] == ["a", "img", "img"]
    assert read.tags[0][1]["href"] == CLICK
    assert read.tags[1][1]["src"] == "https://cdn.example/a.png"
    assert (read.tags[1][1]["width"], read.tags[1][1]["height"]) == ("300", "250")
    assert read.tags[2][1]["src"] == IMPRESSION
    assert (read.tags[2][1]["width"], read.tags[2][1]["height"]) == ("1", "1")


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=60))
def test_image_address_never_breaks_out_of_its_attribute(
    make_creative: Callable[..., Creative], text: str
) -> None:
    address = f"https://cdn.example/\"'><script>{text}"
    read = Reading(banner_markup(make_creative(image_url=address), URLS))
    assert [tag for tag, _ in read.tags] == ["a", "img", "img"]
    assert read.tags[1][1]["src"] == address
    assert read.text == ""


def test_tracker_address_never_breaks_out_of_its_attribute(
    make_creative: Callable[..., Creative],
) -> None:
    hostile = "https://t.example/\"'><script>x</script>"
    urls = TrackingUrls(nurl="", burl="", lurl="", impression=hostile, click=hostile)
    read = Reading(banner_markup(make_creative(image_url="https://cdn.example/a.png"), urls))
    assert [tag for tag, _ in read.tags] == ["a", "img", "img"]
    assert read.tags[0][1]["href"] == read.tags[2][1]["src"] == hostile


@pytest.mark.parametrize("markup", ["", "<b>{click_url}</b>", "<b>{pixel}</b>"])
def test_price_macro_is_left_for_the_exchange(
    make_creative: Callable[..., Creative], markup: str
) -> None:
    adm = banner_markup(make_creative(markup=markup, image_url="https://cdn.example/a.png"), URLS)
    assert adm.count("p=${AUCTION_PRICE}") == 1


def test_landing_page_is_not_in_the_markup(make_creative: Callable[..., Creative]) -> None:
    creative = make_creative(landing_url="https://secret.example/landing", image_url="https://c/i")
    assert "secret.example" not in banner_markup(creative, URLS)


def test_own_markup_gets_click_and_pixel_where_it_asks(
    make_creative: Callable[..., Creative],
) -> None:
    markup = '<p>{pixel}</p><a href="{click_url}">one</a><a href="{click_url}">two</a>'
    read = Reading(banner_markup(make_creative(markup=markup), URLS))
    assert [tag for tag, _ in read.tags] == ["p", "img", "a", "a"]
    assert read.tags[1][1]["src"] == IMPRESSION
    assert {attributes["href"] for tag, attributes in read.tags if tag == "a"} == {CLICK}


def test_own_markup_that_forgot_its_pixel_gets_one_at_the_end(
    make_creative: Callable[..., Creative],
) -> None:
    adm = banner_markup(make_creative(markup="<b>hello</b>"), URLS)
    assert adm.startswith("<b>hello</b><img ")
    assert Reading(adm).tags[-1][1]["src"] == IMPRESSION


def test_own_markup_is_otherwise_left_as_it_is(make_creative: Callable[..., Creative]) -> None:
    markup = "<script>let a = {b: 1 && 2}; c = `${a}`</script>{pixel}"
    assert banner_markup(make_creative(markup=markup), URLS).startswith(markup[: -len("{pixel}")])
