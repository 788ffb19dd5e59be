from __future__ import annotations

from adctl.delivery.markup import banner_markup
from adctl.delivery.tracking_urls import TrackingUrls
from adctl.demo.browser import click_id_of, render
from adctl.models import Creative, CreativeKind, Status

TRACKER = "127.0.0.1:8081"
URLS = TrackingUrls(
    nurl="",
    burl="",
    lurl="",
    impression=f"http://{TRACKER}/track/impression?t=ab.cd&p=1.25",
    click=f"http://{TRACKER}/track/click?t=ef.gh",
)


def creative(**fields: str) -> Creative:
    return Creative(
        id=1,
        campaign_id=1,
        name="c",
        kind=CreativeKind.BANNER,
        status=Status.ACTIVE,
        landing_url="https://shop.example",
        adomain=("shop.example",),
        **fields,  # type: ignore[arg-type]
    )


def test_pixel_and_link_are_found_as_a_browser_reads_them() -> None:
    markup = banner_markup(creative(image_url="https://cdn.example/a.png"), URLS)
    assert "&amp;p=" in markup
    assert render(markup, TRACKER) == ((URLS.impression,), (URLS.click,))


def test_a_creatives_own_markup_is_read_too() -> None:
    own = "<DIV><A HREF='{click_url}'>Buy</A>{pixel}</DIV>"
    markup = banner_markup(creative(markup=own), URLS)
    assert render(markup, TRACKER) == ((URLS.impression,), (URLS.click,))


def test_nothing_beyond_the_tracker_is_ever_asked_for() -> None:
    markup = (
        '<img src="https://elsewhere.example/track/impression?t=x">'
        '<a href="http://127.0.0.1:80/track/click?t=x">x</a><img src="//cdn.example/a.png"><img>'
    )
    assert render(markup, TRACKER) == ((), ())


def test_the_click_id_is_read_from_the_landing_page_alone() -> None:
    assert click_id_of("https://shop.example/sale?utm=1&click=ab-_.cd") == "ab-_.cd"
    assert click_id_of("https://shop.example/sale") == ""
