"""An ad as a browser sees it: its markup, its pixel, its link, and where the link leads."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

# The landing pages of the sample campaigns take the click id by this name.
CLICK_ID_PARAMETER = "click"


class RenderedAd(NamedTuple):
    """The tracker's URLs found in a markup, as a browser would request them."""

    pixels: tuple[str, ...]
    links: tuple[str, ...]


class _Markup(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.images: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "img" and (source := found.get("src")):
            self.images.append(source)
        if tag == "a" and (target := found.get("href")):
            self.links.append(target)


def render(markup: str, tracker: str) -> RenderedAd:
    """Return what ``markup`` would have a browser ask of ``tracker`` (host:port).

    Images and links elsewhere, such as the creative's own picture, are left alone.
    """
    page = _Markup()
    page.feed(markup)
    page.close()
    return RenderedAd(
        tuple(url for url in page.images if urlsplit(url).netloc == tracker),
        tuple(url for url in page.links if urlsplit(url).netloc == tracker),
    )


def click_id_of(landing_page: str) -> str:
    """Return the id with which the landing page can report a conversion; '' if it got none.

    The page itself is never asked for.
    """
    return parse_qs(urlsplit(landing_page).query).get(CLICK_ID_PARAMETER, [""])[0]
