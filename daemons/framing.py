"""Where a message ends, and whom it is for: what two readers could take differently is refused.

A proxy before us and we must see the same requests in the same bytes (RFC 9112, 11.2). waitress
reads some messages kindly; here a message that leaves a choice raises ParsingError, for which the
client is answered 400 and its connection closed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from waitress.parser import ParsingError

if TYPE_CHECKING:
    from collections.abc import Mapping

# What no address has. waitress refuses it in all other lines.
_CONTROLS = bytes((*range(32), 127))
_CODING = re.compile(rb"\r\ntransfer-encoding[ \t]*:[ \t]*([^\r\n]*?)[ \t]*(?=\r\n)", re.IGNORECASE)
_NOT_IN_HOST = re.compile(r"[\s,/?#@\\]")
_VERSIONS = frozenset(("1.0", "1.1"))


def refuse_unclear_lines(header: bytes) -> None:
    """Refuse a header whose lines others may take apart differently, and a coding but chunked.

    Only one ``Transfer-Encoding: chunked`` is read. Anything before or after it, be it the same
    once more, could be taken by somebody for no coding, and the body for another request.
    """
    first_line = header[: header.find(b"\r\n")]
    if len(first_line.translate(None, _CONTROLS)) != len(first_line):
        raise ParsingError("a control character in the first line")
    if b"\r\n " in header or b"\r\n\t" in header:
        raise ParsingError("a header line that begins with a blank")
    if b"transfer-encoding" in header.lower():
        codings = _CODING.findall(header)
        if codings and [coding.lower() for coding in codings] != [b"chunked"]:
            raise ParsingError("a Transfer-Encoding other than one of chunked alone")


def refuse_unclear_message(version: str, headers: Mapping[str, str], *, chunked: bool) -> None:
    """Refuse a message with two lengths, or without exactly one host; HTTP/1.0 may have none.

    Of a header that came twice, ``headers`` have both values, with a comma in between.
    """
    if version not in _VERSIONS:
        raise ParsingError("a version other than HTTP/1.0 and HTTP/1.1")
    if "TRANSFER_ENCODING" in headers:
        raise ParsingError("a Transfer-Encoding, which HTTP/1.0 has not")
    if chunked and "CONTENT_LENGTH" in headers:
        raise ParsingError("both a Content-Length and a Transfer-Encoding")
    host = headers.get("HOST")
    if host is None:
        if version == "1.1":
            raise ParsingError("no Host")
    elif _NOT_IN_HOST.search(host):
        raise ParsingError("no single host in Host")


def has_bare_line_end(text: bytes, news: int) -> bool:
    """Whether the last ``news`` bytes have a CR or LF without the other.

    A CR at the very end may get its LF yet, and an LF at the beginning have had its CR.
    """
    begin = max(len(text) - news, 0)
    tail = text[begin - 1 :] if text[begin - 1 : begin] == b"\r" else text[begin:]
    pairs = tail.count(b"\r\n")
    return tail.count(b"\n") > pairs or tail.count(b"\r") - tail.endswith(b"\r") > pairs
