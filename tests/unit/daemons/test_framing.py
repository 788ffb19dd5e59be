from __future__ import annotations

import pytest

from daemons.framing import has_bare_line_end

HEADER = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def found(*packets: bytes) -> bool:
    text = b""
    for packet in packets:
        text += packet
        if has_bare_line_end(text, len(packet)):
            return True
    return False


@pytest.mark.parametrize("size", range(1, len(HEADER) + 1))
def test_header_in_packets_of_any_size_has_whole_line_ends(size: int) -> None:
    assert not found(*[HEADER[at : at + size] for at in range(0, len(HEADER), size)])


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\n\r"])
@pytest.mark.parametrize("size", range(1, 6))
def test_bare_line_end_is_found_in_packets_of_any_size(end: bytes, size: int) -> None:
    for header in (HEADER.replace(b"\r\n", end), HEADER.replace(b"\r\nH", end + b"H")):
        assert found(*[header[at : at + size] for at in range(0, len(header), size)], b"x")
