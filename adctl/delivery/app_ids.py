"""Apps: one spelling of each, for bundles, numbers of stores and stores' addresses.

An app is compared by its id in its store, in small letters: ``com.example.app``, ``123456789`` with
or without ``id``, ``B00KDSGIPK``, or the address of its page in a store, which has that id in it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote

from adctl.delivery.domains import may_be_kept, normal_domain
from adctl.delivery.placeholders import is_placeholder

_LONGEST_ID = 200
_LONGEST_ADDRESS = 2048

# As it is compared already; a text without dot and digit may be a word for nothing.
_PLAIN = re.compile(r"(?!id[0-9]+$)(?=[a-z0-9_-]*[.0-9])[a-z0-9_][a-z0-9._-]{0,199}")
_NUMBER = re.compile(r"(?:id)?([0-9]+)", re.IGNORECASE | re.ASCII)
_BARE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._:~!*+|-]{0,199}(?<!:)")
_ADDRESS = re.compile(
    r"(?:(?P<scheme>[a-z][a-z0-9+.-]*):)?//(?P<rest>.*)", re.IGNORECASE | re.DOTALL
)


class Page(NamedTuple):
    """Where an app's id is in an address: in one of its parameters, else in the path's one group.

    ``path`` is searched for in what follows the host.
    """

    path: re.Pattern[str]
    parameters: tuple[str, ...] = ()


class Store(NamedTuple):
    """A store: its ``name``, and the domains that its ``pages`` are on."""

    name: str
    domains: re.Pattern[str]
    pages: tuple[Page, ...]


def _store(name: str, domains: str, *pages: Page) -> Store:
    return Store(name, re.compile(rf"(?:.+\.)?(?:{domains})"), pages)


def _page(path: str, *parameters: str) -> Page:
    return Page(re.compile(path, re.IGNORECASE), tuple(map(str.lower, parameters)))


_DETAILS = r"(?:^|/)details(?:/|$)"

STORES = (
    _store(
        "Apple App Store",
        r"(?:apps|itunes|phobos)\.apple\.com|itunes\.com",
        _page(r"/(?:app|app-bundle)/(?:[^/]+/)?id([0-9]+)"),
        _page(r"/(?:lookup|viewSoftware)$", "id"),
    ),
    _store(
        "Google Play",
        r"play\.google\.com|market\.android\.com",
        _page(_DETAILS, "id"),
        _page(r"/apps/datasafety$", "id"),
        _page(r"/apps/testing/([^/]+)"),
    ),
    _store(
        "Amazon Appstore",
        r"amazon\.[a-z]{2,3}|amazon\.com?\.[a-z]{2}",
        _page(r"/(?:dp|gp/product|gp/aw/d|exec/obidos/asin)/([A-Z0-9]{10})(?:/|$)"),
        _page(r"/gp/mas/", "p", "asin"),
    ),
    _store(
        "Roku Channel Store",
        r"roku\.com",
        _page(r"/(?:details|add)/([^/]+)"),
        _page(r"/add$", "channel"),
    ),
    _store(
        "Samsung",
        r"samsung\.com|samsungapps\.com",
        _page(r"/(?:detail|app)/([^/]+)"),
        _page(r"", "appId"),
    ),
    _store("LG", r"lgappstv\.com", _page(r"", "appId")),
    _store("Vizio", r"vizio\.com", _page(r"", "appId")),
    _store(
        "Huawei AppGallery",
        r"appgallery[0-9]*\.huawei\.com|appgallery\.cloud\.huawei\.com",
        _page(r"/app/(C[0-9]+)"),
        _page(r"", "appId"),
    ),
    _store("Xiaomi", r"app\.xiaomi\.com|app\.mi\.com", _page(_DETAILS, "id")),
    _store(
        "Microsoft",
        r"microsoft\.com|xbox\.com",
        _page(r"/(?:detail|apps|p|store|productid)/(?:[^/]+/){0,2}([A-Z0-9]{12})(?:/|$)"),
    ),
    _store("PlayStation", r"store\.playstation\.com", _page(r"/(?:product|concept)/([^/]+)")),
    _store("F-Droid", r"f-droid\.org", _page(r"/packages/([^/]+)")),
    _store("ONE store", r"onestore\.co\.kr", _page(r"", "prodId")),
)
"""The stores whose addresses are read."""

# Addresses that programs open: what stands where a host would is a part of the path.
_OF_SCHEMES = {
    "android-app": (_page(r"^([^/]+)"),),
    "samsungapps": (_page(r"^ProductDetail/([^/]+)"),),
    "amzn": (_page(r"", "p", "asin"),),
    "ms-windows-store": (_page(r"", "ProductId"),),
}
_MARKETS = (_page(_DETAILS, "id", "packagename"),)
_WEB_SCHEMES = frozenset(
    ("", "http", "https", "itms", "itmss", "itms-apps", "itms-appss", "macappstore")
)


def app_id(text: str | None) -> str:
    """Return the id in its store of the app that ``text`` names, its letters as they were written.

    '' for what names no app: a word for nothing, a macro, the address of something else. Total.
    """
    if not text or len(text) > _LONGEST_ADDRESS:
        return ""
    text = text.strip().strip("\u200b\u2060\ufeff").strip()
    if "%3a" in text[:24].lower():
        text = unquote(text)
    if "/" in text or "?" in text:
        text = _in_address(text if "//" in text.partition("?")[0] else f"//{text}")
    number = _NUMBER.fullmatch(text)
    if number:
        text = number[1]
    return text if _BARE.fullmatch(text) and not is_placeholder(text) else ""


def normal_app(text: str | None) -> str:
    """Return the app that ``text`` names in the one spelling apps are compared in; '' for none."""
    if text and _PLAIN.fullmatch(text) and not text.isdecimal():
        return text
    return app_id(text).lower()


@lru_cache(maxsize=16_384)
def known_app(text: str) -> str:
    """Return ``normal_app``, kept for texts that requests bring again and again."""
    return normal_app(text)


def normal_apps(texts: list[str] | None) -> frozenset[str]:
    """Return the apps of a list in a request; '' stands for those that cannot be read."""
    if not texts:
        return frozenset()
    return frozenset(map(known_app if may_be_kept(texts) else normal_app, texts))


def app_of(text: str | None) -> str:
    """Return ``normal_app`` of what a request says."""
    if not text:
        return ""
    # Long texts are few, and would take much room.
    return known_app(text) if len(text) <= _LONGEST_ID else normal_app(text)


def _in_address(text: str) -> str:
    parts = _ADDRESS.fullmatch(text)
    if parts is None:
        return ""
    scheme, rest = (parts["scheme"] or "").lower(), parts["rest"]
    path, _, query = rest.partition("?")
    if scheme in _WEB_SCHEMES:
        domain = normal_domain(f"//{rest}")
        pages = next((one.pages for one in STORES if one.domains.fullmatch(domain)), ())
        path = path[len(path.partition("/")[0]) :]
    else:
        market = scheme.endswith("market") or scheme == "intent"
        pages = _OF_SCHEMES.get(scheme, _MARKETS if market else ())
    found = (_on_page(page, path, query.partition("#")[0]) for page in pages)
    return unquote(next(filter(None, found), ""))


def _on_page(page: Page, path: str, query: str) -> str:
    match = page.path.search(path.rstrip("/") or path)
    if match is None:
        return ""
    if not page.parameters:
        return match[1]
    told = (pair.partition("=") for pair in query.split("&"))
    return next((value for name, _, value in told if name.lower() in page.parameters), "")
