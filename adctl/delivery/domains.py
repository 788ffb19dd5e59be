"""Domains: one spelling of each, for whatever exchanges, people and files write.

A domain is compared as IDNA 2008 has it on the wire, mapped as UTS 46 says (non-transitional: ``ß``
stays one): small letters, A-labels, no port, no final dot, no ``www.``.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import unquote

import idna

_LONGEST_DOMAIN = 253
_LONGEST_LABEL = 63
# Of an address only its beginning is looked at; of a host as many characters as may vanish.
_LONGEST_ADDRESS = 2048
_LONGEST_HOST = 512
_ACE = "xn--"
_USUAL_LENGTH = 64

# As it is compared already: nothing is to be done, and nothing is allocated.
_PLAIN = re.compile(r"(?!www\.|xn--)[a-z0-9_-]{1,63}(?:\.(?!xn--)[a-z0-9_-]{1,63})*")
# And as it mostly comes else: an address in ASCII, whose host is the one group.
_ADDRESS = re.compile(
    r"(?:https?:)?(?://)?(?:www\.)?"
    r"((?!www\.|xn--)[a-z0-9_-]{1,63}(?:\.(?!xn--)[a-z0-9_-]{1,63})+)"
    r"\.?(?::[0-9]*)?(?:[/?#].*)?",
    re.DOTALL,
)
_LABEL = re.compile(r"[a-z0-9_-]{1,63}")
_ASCII_OF_LABEL = re.compile(r"[a-z0-9_-]*")
_END_OF_AUTHORITY = re.compile(r"[/?#]")
_WEB_SCHEMES = frozenset(("http", "https", "ws", "wss"))
_JOINERS = ("\u200c", "\u200d")
# Blanks that str.strip() does not know, and what editors leave at the edges of a text.
_BLANK = "".join(map(chr, range(33))) + "\x7f\x85\xa0\u200b\u200e\u200f\u2060\ufeff"
# What registries sell names under: www.co.uk is a site's name, and co.uk is that of no site.
_REGISTRY = re.compile(r"(?:ac|co|com|edu|go|gov|ne|net|or|org)\.[a-z]{2}")


def normal_domain(text: str | None) -> str:
    """Return the domain that ``text`` names, in the one spelling domains are compared in.

    ``text`` may be an address: scheme, user, port, path, query and fragment are left out, as are
    ``www.``, ``*.`` and dots around it. '' for what cannot be read as the name of a host. Total.
    """
    if not text:
        return ""
    if len(text) <= _LONGEST_DOMAIN and _PLAIN.fullmatch(text):
        return text
    text = text[:_LONGEST_ADDRESS]
    if text.isascii():
        found = _ADDRESS.fullmatch(text.strip().lower())
        if found and len(found[1]) <= _LONGEST_DOMAIN and not _REGISTRY.fullmatch(found[1]):
            return found[1]
    host = _host(text)
    return _of_host(host) if host and len(host) <= _LONGEST_HOST else ""


@lru_cache(maxsize=16_384)
def known_domain(text: str) -> str:
    """Return ``normal_domain``, kept for texts that requests bring again and again."""
    return normal_domain(text)


def normal_domains(texts: list[str] | None) -> frozenset[str]:
    """Return the domains of a list in a request; '' stands for those that cannot be read."""
    if not texts:
        return frozenset()
    return frozenset(map(known_domain if may_be_kept(texts) else normal_domain, texts))


def may_be_kept(texts: list[str]) -> bool:
    """Return whether a list's texts are so short, on the average, that keeping them costs little.

    Publishers block hundreds of advertisers, and looking at each text's length would take longer
    than the rest of it.
    """
    return len("".join(texts)) <= _USUAL_LENGTH * len(texts)


def domain_and_above(domain: str) -> tuple[str, ...]:
    """Return a normal domain and those above it, nearest first: a list that has one covers it."""
    labels = domain.split(".") if domain else []
    if labels and labels[-1].isdigit():
        return (domain,)  # nothing is above an IP address
    return tuple([".".join(labels[at:]) for at in range(len(labels))])


def _host(text: str) -> str:
    """Return the host of an address, or the text itself, not yet checked; '' for other schemes."""
    text = text.strip().strip(_BLANK).replace("\\", "/")
    if "%" in text:
        text = unquote(text)
    scheme, colon, rest = text.partition(":")
    if colon and (rest.startswith("//") or scheme.lower() in _WEB_SCHEMES):
        if scheme.lower() not in _WEB_SCHEMES:
            return ""
        text = rest.lstrip("/")
    elif text.startswith("//"):
        text = text.lstrip("/")
    authority = _END_OF_AUTHORITY.split(text, maxsplit=1)[0]
    host, _, port = authority.rpartition("@")[2].partition(":")
    return host.strip() if not port or (port.isascii() and port.isdecimal()) else ""


@lru_cache(maxsize=4096)
def _of_host(host: str) -> str:
    try:
        mapped = idna.uts46_remap(host, std3_rules=False, transitional=False)
        labels = [_ascii_label(one) for one in mapped.removeprefix("*.").strip(".").split(".")]
    except UnicodeError:
        return ""
    if not all(map(_LABEL.fullmatch, labels)):
        return ""
    domain = _without_www(".".join(labels))
    return domain if len(domain) <= _LONGEST_DOMAIN else ""


def _ascii_label(label: str) -> str:
    """Return a mapped label as it is on the wire. Raises UnicodeError for what is none."""
    if label.startswith(_ACE):
        return _checked(label)
    if label.isascii():
        return label
    try:
        return idna.alabel(label).decode()
    except idna.InvalidCodepointContext:
        raise
    except idna.IDNAError:
        # Registered all the same, and shown by browsers: symbols as in xn--i-7iq.ws, underscores.
        return _punycode(label)


def _checked(label: str) -> str:
    # The same label can be encoded from capitals or parts; one that says nothing new is a fake.
    told = label.removeprefix(_ACE).encode("ascii").decode("punycode")
    mapped = idna.uts46_remap(told, std3_rules=False, transitional=False)
    if told.isascii() or mapped.isascii():
        raise UnicodeError("an A-label of plain letters")
    return _ascii_label(mapped)


def _punycode(label: str) -> str:
    if any(joiner in label for joiner in _JOINERS):
        raise UnicodeError("an invisible joiner")
    idna.check_bidi(label)
    plain = "".join(filter(str.isascii, label))
    encoded = _ACE + label.encode("punycode").decode()
    if not _ASCII_OF_LABEL.fullmatch(plain) or len(encoded) > _LONGEST_LABEL:
        raise UnicodeError("no label")
    return encoded


def _without_www(domain: str) -> str:
    while domain.startswith("www."):
        rest = domain.removeprefix("www.")
        if "." not in rest or _REGISTRY.fullmatch(rest):
            break
        domain = rest
    return domain
