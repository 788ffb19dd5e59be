"""What a call's query tells, however it was mangled on its way.

Our URLs pass through markup, exchanges' macros, wrappers and social networks before they are
called: their ampersands come as HTML has them, they are percent-encoded once more, and others
append to them as if nothing were there. One reading sees through all of it, for every call alike.
Nothing is believed for it: the signature is checked afterwards, and what stands outside of it
(a price) never was more than told.

The rule: a token has a form of its own, so where it ends is known, and whatever follows is
parameters again. So are the values of macros, which never hold what parts parameters. Other texts
(an order's id) may hold anything, if it is encoded.
"""

from __future__ import annotations

import html
import re
from collections import deque
from string import ascii_lowercase
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from adctl.delivery.advertiser_keys import KEY_FORM
from adctl.delivery.tokens import TOKEN_FORM

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

# Nothing is encoded, appended or escaped: as exchanges call what we gave them.
_PLAIN = re.compile(
    r"[a-z_][a-z0-9_]*=[A-Za-z0-9_.$\-{}:~=]*(?:&[a-z_][a-z0-9_]*=[A-Za-z0-9_.$\-{}:~=]*)*"
)
_SIGNED = {"t": TOKEN_FORM, "k": KEY_FORM}
_FREE_TEXTS = frozenset(("o", "u"))
_NAMES = frozenset((*"tkpcqmbsrouv", "vc"))

# An HTML reference; twice escaped, &amp;amp; is one too.
_REFERENCE = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]{2,31});")
# What is left of one where its ampersand parted parameters.
_LEFT_OF_REFERENCE = re.compile(r"^(?:(?:amp|#?0*38|#?x0*26);)+", re.IGNORECASE)
_ENDS_MACRO = re.compile(r"[&?;#\"<>\\]")
# Behind an order's or user's id: only what is unmistakably somebody's next parameter.
_ENDS_TEXT = re.compile(r"[?;](?=[A-Za-z_]+=)|#")
_ENDS_OTHERS = re.compile(r";")
_QUOTES = " \t\r\n\"'"
_SEPARATORS = "&?;#/,\"'<>\\ "
_SLASHED = re.compile(r"[0-9.]+/+|[A-Za-z]{3}/+")
_ENCODED = re.compile(r"%[0-9a-fA-F]{2}")
# As often is an address encoded, or escaped, one time over the other.
_MOST_TIMES = 4
_MOST_PARTS = 60
_LONGEST = 8 << 10


def read(query: str, plain: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the parameters of a call, each once, by the names that our URLs have.

    ``query`` is as WSGI has it; ``plain`` is what an ordinary parse of it gave, and is returned
    where there is no more to see. Of a parameter that is repeated, the first that says anything
    counts; of one that was appended to another's value, only where there is none beside it.
    """
    if _PLAIN.fullmatch(query) and ("t" in plain or "k" in plain):
        return plain if list not in map(type, plain.values()) else _first_of_each(plain)
    return _gathered(query[:_LONGEST])


def addressed(last_part: str) -> tuple[str, str]:
    """Part what stands last in a path into the word it begins with and what was run into it.

    A wrapper that encodes an address whole makes ``click%3Ft%3DTOKEN`` of it.
    """
    word = last_part[: len(last_part) - len(last_part.lstrip(ascii_lowercase))]
    return word, last_part[len(word) :].lstrip(_SEPARATORS)


def _first_of_each(params: Mapping[str, Any]) -> Mapping[str, str]:
    return {
        name: next(filter(None, value), "") if isinstance(value, list) else value
        for name, value in params.items()
    }


def _gathered(query: str) -> dict[str, str]:
    found: dict[str, str] = {}
    # What was appended to values comes last.
    queries, parts = deque([query]), 0
    while queries and parts < _MOST_PARTS:
        for part in _unescaped(queries.popleft()).lstrip(_SEPARATORS).split("&", _MOST_PARTS):
            parts += 1
            name, is_told, value = part.partition("=")
            name = _decoded(name, until=_says_more)
            if _says_more(name):
                # It was encoded whole, with all that parts it.
                queries.append(f"{name}{is_told}{value}")
                continue
            name = _LEFT_OF_REFERENCE.sub("", name.strip(_QUOTES)).lower()
            text, appended = _parted(name, value)
            if name in _NAMES and not found.get(name):
                found[name] = text
            if appended:
                queries.append(appended)
    return found


def _parted(name: str, value: str) -> tuple[str, str]:
    """Return a parameter's value, and what was appended to it."""
    if name in _FREE_TEXTS:
        text, appended = _cut(value, _ENDS_TEXT)
        return _decoded(text), appended
    if name not in _NAMES:
        return _cut(value, _ENDS_OTHERS)
    if form := _SIGNED.get(name):

        def is_whole(text: str) -> bool:
            signed = form.match(text.lstrip(_QUOTES))
            return signed is not None and not text.lstrip(_QUOTES)[signed.end() :].startswith("%")

        text = _decoded(value, until=is_whole).lstrip(_QUOTES)
        signed = form.match(text)
        return (text, "") if signed is None else (signed[0], text[signed.end() :])
    text, appended = _cut(_decoded(value).strip(_QUOTES), _ENDS_MACRO)
    return (text.rstrip("/") if _SLASHED.fullmatch(text) else text.strip(_QUOTES)), appended


def _cut(text: str, at: re.Pattern[str]) -> tuple[str, str]:
    end = at.search(text)
    return (text, "") if end is None else (text[: end.start()], text[end.start() :])


def _unescaped(text: str) -> str:
    for _ in range(_MOST_TIMES):
        if ";" not in text or not _REFERENCE.search(text):
            break
        text = _REFERENCE.sub(lambda found: html.unescape(found[0]), text)
    return text


def _says_more(name: str) -> bool:
    return "=" in name or "&" in name


def _never(_text: str) -> bool:
    return False


def _decoded(text: str, until: Callable[[str], bool] = _never) -> str:
    """Return what was percent-encoded, be it several times, with ``+`` for a blank.

    It is decoded no more often than ``until`` it is as it should be. Bytes that are no UTF-8 are
    taken for Latin-1, as old shops write it.
    """
    for _ in range(_MOST_TIMES):
        if until(text) or (text.isascii() and "+" not in text and not _ENCODED.search(text)):
            break
        before, text = text, _decoded_once(text)
        if text == before or not _ENCODED.search(text):
            break
    return text


def _decoded_once(text: str) -> str:
    text = text.replace("+", " ")
    try:
        # As WSGI has the bytes of a query.
        raw = unquote_to_bytes(text.encode("latin-1"))
    except UnicodeEncodeError:
        raw = unquote_to_bytes(text)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")
