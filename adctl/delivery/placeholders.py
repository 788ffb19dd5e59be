"""Texts that stand where an id should be, and say that there is none.

A template that nobody filled in, a script's word for nothing, a row of zeros: whoever has no id
sends the same text as everybody else who has none. Taken for an id, all of them are one.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

# What opens a template's expression, or a name in any engine's marks, wherever they stand: {{id}}
# {% id %} ${id} #{id} $(id) <%= id %> {id} [ID] <id> %%ID%% ##ID## @@ID@@ $ID$ __ID__. An id in
# braces, as Windows writes them, has digits.
_NAME = r"[A-Za-z_][A-Za-z_ .:|\-]*[0-9]{0,2}"
_TEMPLATE = re.compile(
    rf"\{{\{{|\{{%|[$#]\{{|\$\(|<%|\{{{_NAME}\}}|\[{_NAME}\]|<{_NAME}>|%{_NAME}%|##{_NAME}##"
    rf"|@@{_NAME}@@|\${_NAME}\$|^__{_NAME}__$"
)
# Also where they are a part: ORDER-undefined is nobody's order.
_NOTHING_ANYWHERE = frozenset(("undefined", "null", "nan"))
_NOTHING = frozenset(
    (
        *("none", "nil", "na", "n a", "void", "unknown", "unset", "not set", "not available"),
        *("empty", "blank", "missing", "default", "false", "true", "anonymous", "infinity"),
        *("object object", "unidentified", "optout", "opt out", "no id", "noid"),
    )
)
_WORDS = re.compile(r"[^\W_]+")
# A run of one digit so short may be a number that somebody counted up to.
_LONGEST_COUNTED = 7


def is_placeholder(text: str) -> bool:
    """Return whether a text that stands for an id says only that there is none.

    That is: nothing but blanks and marks; ``undefined``, ``null``, ``N/A`` and other words for
    nothing; a template's macro as it was; zeros; and one character again and again (of another
    digit, eight times and more: order 7777 may well be one).
    """
    if "%" in text:
        text = unquote(text, errors="replace")
    text = text.strip()
    words = _WORDS.findall(text.lower())
    if not words or _TEMPLATE.search(text):
        return True
    if not _NOTHING_ANYWHERE.isdisjoint(words) or " ".join(words) in _NOTHING:
        return True
    run = "".join(words)
    if run.strip(run[0]):
        return False
    return run[0] == "0" or (len(run) > _LONGEST_COUNTED if run.isdecimal() else len(run) > 1)
