"""What HTTP wraps around a bid request: its type, its version and its compression."""

from __future__ import annotations

import gzip
import zlib
from typing import TYPE_CHECKING, Any

import msgspec

from adctl.openrtb import MalformedRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION = "2.6"

# Less is in one packet either way, with headers, and not worth the work.
_COMPRESSED_FROM_BYTES = 1_000
_FAST = 1
_GZIP_WINDOW = 16 + zlib.MAX_WBITS


class Envelope(msgspec.Struct, frozen=True):
    """What a request's header says of its body and of the answer.

    ``encoding`` is the body's, '' for none.
    """

    is_json: bool
    is_understood: bool
    encoding: str
    takes_gzip: bool


def envelope_of(headers: Mapping[str, str]) -> Envelope:
    """Return what ``headers`` say, which are as in WSGI's environment."""
    return Envelope(
        _is_json(headers),
        _is_understood(headers),
        headers.get("HTTP_CONTENT_ENCODING", "").strip().lower(),
        _takes_gzip(headers),
    )


def received(environ: Mapping[str, Any], max_bytes: int) -> bytes | None:
    """Return the body as it came; None if it is longer than that, and not read."""
    # The server has made sure that it is a number.
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body: bytes | None = environ["wsgi.input"].read(length) if length <= max_bytes else None
    return body


def unfolded(body: bytes | None, encoding: str, max_bytes: int) -> bytes:
    """Return the body, inflated if it is gzip.

    Never holds more than ``max_bytes`` of it. Raises MalformedRequestError for more than that, for
    another encoding, and for gzip that is broken or cut.
    """
    if body is None:
        raise MalformedRequestError("too large for a bid request")
    if encoding in ("", "identity"):
        return body
    if encoding in ("gzip", "x-gzip"):
        return _inflated(body, max_bytes)
    raise MalformedRequestError("encoded in a way that is not read")


def _is_json(headers: Mapping[str, str]) -> bool:
    """Return whether the body's type lets it be JSON. A missing type means JSON [2.3].

    Many send JSON under any name that comes along; the other representation of a bid request,
    protobuf, is named for certain.
    """
    return "protobuf" not in headers.get("CONTENT_TYPE", "").lower()


def _is_understood(headers: Mapping[str, str]) -> bool:
    """Return whether the message is of a version that can be read: OpenRTB 3 is another format."""
    major = headers.get("HTTP_X_OPENRTB_VERSION", VERSION).strip().partition(".")[0]
    return not major.isdecimal() or major in ("1", "2")


def _takes_gzip(headers: Mapping[str, str]) -> bool:
    """Return whether the client asked for gzip; without asking none is sent [2.4]."""
    for entry in headers.get("HTTP_ACCEPT_ENCODING", "").lower().split(","):
        coding, _, quality = entry.partition(";")
        if coding.strip() in ("gzip", "x-gzip"):
            return quality.replace(" ", "").removeprefix("q=").rstrip("0.") != "" or not quality
    return False


def is_worth_compressing(body: bytes) -> bool:
    """Return whether ``body`` is long enough for gzip to be worth the while."""
    return len(body) >= _COMPRESSED_FROM_BYTES


def compressed(body: bytes) -> bytes:
    """Return ``body`` as gzip."""
    return gzip.compress(body, compresslevel=_FAST, mtime=0)


def _inflated(body: bytes, max_bytes: int) -> bytes:
    inflating = zlib.decompressobj(_GZIP_WINDOW)
    try:
        # One byte more than allowed tells a body that is too large; the rest stays folded up.
        inflated = inflating.decompress(body, max_bytes + 1)
    except zlib.error as exc:
        raise MalformedRequestError(f"gzip: {exc}") from exc
    if len(inflated) > max_bytes:
        raise MalformedRequestError("too large for a bid request once inflated")
    if not inflating.eof or inflating.unused_data:
        raise MalformedRequestError("gzip is cut, or something follows it")
    return inflated
