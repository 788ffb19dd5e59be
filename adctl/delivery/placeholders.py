"""Texts that stand where an id should be, and say that there is none: the one rule for all ids.

A template that nobody filled in, a script's word for nothing, a row of zeros: whoever has no id
sends the same text as everybody else who has none. Taken for an id, all of them are one.
"""

from __future__ import annotations

import re
import unicodedata
from html import unescape
from urllib.parse import unquote

# A macro's name: letters, with blanks and marks as people part them, and few digits: order_id,
# Order Number, aff_sub2, p1.value. An id in braces, as Windows writes them, has more.
_LETTER = r"[^\W\d]"
_NAME = rf"{_LETTER}(?:{_LETTER}|[ .:|\-]|[0-9]{{1,2}}[_.])*[0-9]{{0,2}}"
# A name in any engine's marks, wherever they stand: {id} {{ id }} ${id} #{id} {$id} $(id) <%= id %>
# {% id %} [ID] [[ID]] [%ID%] <id> %%ID%% ##ID## @@ID@@ $ID$.
_ANYWHERE = re.compile(
    rf"\{{[$@#%!:]?\s*{_NAME}%?\}}|\[[$@#%:]?\s*{_NAME}%?\]|\$\({_NAME}\)|<%?=?\s*{_NAME}%?>"
    rf"|%%{_NAME}%%|##{_NAME}##|@@{_NAME}@@|\${_NAME}\$"
)
# Marks that ids have too; with nothing around them they are a macro's: %ID% #ID# @ID@ *|ID|* __ID__
# $ID %s {0} USER_ID; and whatever begins as a template's expression. A name of two letters after a
# percent sign may be an encoded byte.
_WHOLE = re.compile(
    rf"%{_LETTER}{_NAME}%?|%(?:[0-9]\$)?[A-Za-z]|([#@~^!|?:&=]){_NAME}\1|\*\|{_NAME}\|\*"
    rf"|\*+{_NAME}\*+|\(+{_NAME}\)+|\$+{_NAME}|__{_NAME}__|{_LETTER}+[_-](?:id|ID|Id)|\{{[0-9]{{0,2}}\}}"
    rf"|(?:\{{\{{|\{{%|[$#]\{{|\$\(|<%=?)\s*{_LETTER}{{3}}.*",
    re.DOTALL,
)
# Also where they are a part: ORDER-undefined is nobody's order.
_NOTHING_ANYWHERE = frozenset(("undefined", "null", "nan"))
_NOTHING = frozenset(
    (
        *("undefined", "null", "nan", "none", "nil", "na", "n a", "void", "unknown", "unset"),
        *("not set", "notset", "not available", "unavailable", "not provided", "not found"),
        *("not applicable", "empty", "blank", "missing", "default", "false", "true", "infinity"),
        *("object object", "anonymous", "anon", "guest", "unidentified", "redacted", "hidden"),
        *("optout", "opt out", "opted out", "no id", "noid", "no user", "no cookie", "nocookie"),
        *("anonymous user", "unknown user", "guest user"),
    )
)
_LONGEST_NOTHING = max(map(len, _NOTHING))
_MARKS_OF_IDS = b"-_.:+/="
_NOTHING_SQUEEZED = frozenset(words.replace(" ", "").encode() for words in _NOTHING)
_NOTHING_WITHIN = re.compile(rb"nan|null|undefined")
# What else is nothing, of such letters and marks alone: __ID__, 0x00, USER_ID.
_MAY_OPEN = ("__", "0x", "0X")
_MAY_CLOSE = ("_id", "_ID", "_Id", "-id", "-ID", "-Id")
# No number of anything; and what stands in the address that adctl advertiser pixel shows.
_NEVER_AN_ID = frozenset(("-1", "USER", "ORDER"))
_WORDS = re.compile(r"[^\W_]+")
# A run of one digit so short may be a number that somebody counted up to.
_LONGEST_COUNTED = 7
# Longer ones were put together of something; what says that there is none is short.
_LONGEST_PLACEHOLDER = 512
# Of what a macro stands in.
_LONGEST_AROUND = 32
# As often is a text encoded, one time over the other.
_MOST_TIMES = 4


def is_no_id(text: str) -> bool:
    """Return whether a text that stands for an id is none: a placeholder, or -1."""
    return text in _NEVER_AN_ID or is_placeholder(text)


def is_placeholder(text: str) -> bool:
    """Return whether a text that stands for an id says only that there is none.

    That is: nothing but blanks, controls and marks; ``undefined``, ``null``, ``N/A`` and other
    words for nothing; a template's macro as it was, also encoded or escaped; zeros; and one
    character again and again (of another digit, eight times and more: order 7777 may well be one).
    """
    # Nearly every id is letters and digits, and marks that hashes and UUIDs have.
    bare = text.encode().translate(None, _MARKS_OF_IDS) if text.isascii() else b""
    if bare.isalnum():
        if bare[0] == bare[-1] and not bare.strip(bare[:1]):
            return _is_run(bare.decode())
        lower = bare.lower()
        if len(lower) <= _LONGEST_NOTHING and lower in _NOTHING_SQUEEZED:
            return True
        if (
            not (b"n" in lower and _NOTHING_WITHIN.search(lower))
            and text[:2] not in _MAY_OPEN
            and text[-3:] not in _MAY_CLOSE
        ):
            return False
    if len(text) > _LONGEST_PLACEHOLDER:
        return not _WORDS.search(text)
    return _says_nothing(text)


def _says_nothing(text: str) -> bool:
    for _ in range(_MOST_TIMES):
        text = _as_it_looks(text)
        if _WHOLE.fullmatch(text) or _has_macro(text):
            return True
        decoded = unescape(unquote(text, errors="replace") if "%" in text else text)
        if decoded == text:
            break
        text = decoded
    words = _WORDS.findall(text)
    if not words:
        return True
    lower = [word.lower() for word in words]
    if " ".join(lower) in _NOTHING or "undefined" in lower:
        return True
    # By chance they are a part of random letters, too; those are not written so plainly.
    if not _NOTHING_ANYWHERE.isdisjoint(lower) and all(map(_is_plain, words)):
        return True
    run = "".join(lower).removeprefix("0x")
    return not run or (not run.strip(run[0]) and _is_run(run))


def _has_macro(text: str) -> bool:
    found = _ANYWHERE.search(text)
    if not found:
        return False
    # A-{order_id} is a macro in what somebody wrote. Random characters hold such marks, too.
    around = f"{text[: found.start()]} {text[found.end() :]}"
    return len(around) <= _LONGEST_AROUND and all(map(_is_plain, _WORDS.findall(around)))


def _as_it_looks(text: str) -> str:
    """Return ``text`` without what has no width, and wide letters and digits as the usual ones."""
    if text.isascii():
        return text.strip()
    shown = "".join([one for one in text if unicodedata.category(one) != "Cf"])
    return unicodedata.normalize("NFKC", shown).strip()


def _is_run(run: str) -> bool:
    """Return whether so many of one character, which ``run`` is made of, are no id."""
    return run[0] == "0" or (len(run) > _LONGEST_COUNTED if run.isdecimal() else len(run) > 1)


def _is_plain(word: str) -> bool:
    return word in (word.lower(), word.upper(), word.title())
