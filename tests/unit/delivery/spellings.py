"""Names of sites and apps, and the ways in which they are written, for property tests."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable

_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789äöüßéñåłčşθωжяñ漢字ท"
_LABELS = st.text(_LETTERS, min_size=1, max_size=12).filter(lambda text: not text[0].isdigit())

DOMAINS = st.builds(
    lambda labels, top: ".".join([*labels, top]),
    st.lists(_LABELS, min_size=1, max_size=3).filter(lambda labels: labels[0] != "www"),
    st.sampled_from(["com", "de", "example", "co.uk", "рф"]),
)
"""Registered names in small letters, many of them in Unicode."""


def _capitals(domain: str) -> str:
    # Capitals of ß and ς are those of other letters.
    return "".join(char if char in "ßς" else char.upper() for char in domain)


def _encoded(domain: str) -> str:
    return ".".join(
        label if label.isascii() else f"xn--{label.encode('punycode').decode()}"
        for label in domain.split(".")
    )


_WAYS: tuple[Callable[[str], str], ...] = (
    lambda domain: domain,
    _capitals,
    _encoded,
    lambda domain: _encoded(domain).upper(),
    lambda domain: unicodedata.normalize("NFD", domain),
    lambda domain: domain.replace(".", "。"),
    lambda domain: f"www.{domain}",
    lambda domain: f"WWW.{domain}.",
    lambda domain: f" {domain}\n",
    lambda domain: f"\ufeff{domain}\u200b",
    lambda domain: f"*.{domain}",
    lambda domain: f".{domain}",
    lambda domain: f"{domain}:8080",
    lambda domain: f"{domain}/news?a=b#c",
    lambda domain: f"//{domain}",
    lambda domain: f"http://{domain}",
    lambda domain: f"HTTPS://user:secret@www.{domain}:443/a/b@c?d=//e",
    lambda domain: f"https:\\\\{domain}\\news",
    lambda domain: f"https%3A%2F%2F{domain}%2F",
)

WAYS_OF_DOMAINS = st.sampled_from(_WAYS)
"""Each returns another spelling of a domain it is given."""

# One digit again and again stands for no app.
NUMBERS = (
    st.integers(min_value=100_000_000, max_value=9_999_999_999)
    .map(str)
    .filter(lambda number: len(set(number)) > 1)
)
BUNDLES = st.from_regex(r"[a-z][a-z0-9]{1,8}(\.[a-z][a-z0-9_]{0,8}[a-z0-9]){1,3}", fullmatch=True)

WAYS_OF_NUMBERS = st.sampled_from(
    (
        lambda number: number,
        lambda number: f"id{number}",
        lambda number: f" ID{number} ",
        lambda number: f"https://apps.apple.com/us/app/a-name/id{number}",
        lambda number: f"http://itunes.apple.com/app/id{number}?mt=8&uo=4",
        lambda number: f"itms-apps://itunes.apple.com/de/app/id{number}",
        lambda number: f"apps.apple.com/app/id{number}",
    )
)
WAYS_OF_BUNDLES = st.sampled_from(
    (
        lambda bundle: bundle,
        lambda bundle: bundle.upper(),
        lambda bundle: f"\t{bundle} ",
        lambda bundle: f"https://play.google.com/store/apps/details?hl=de&id={bundle}&gl=DE",
        lambda bundle: f"market://details?id={bundle}",
        lambda bundle: f"https://galaxystore.samsung.com/detail/{bundle}",
        lambda bundle: f"https%3A%2F%2Fplay.google.com%2Fstore%2Fapps%2Fdetails%3Fid%3D{bundle}",
    )
)
