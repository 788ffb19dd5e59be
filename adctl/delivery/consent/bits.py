"""Reading base64url texts bit by bit, never past their end.

Everything about consent is packed this way (fields of any width, most significant bit first, six
bits a character). What cannot be read in full raises UndecodableError and nothing else.
"""

from __future__ import annotations

import base64

import msgspec

# Strings of real platforms stay under 2 KB. The bound keeps the work for a hostile one small.
MAX_CHARS = 8192

_BASE64URL = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
# The 16th Fibonacci number is beyond 1,500; the numbers coded this way are section ids.
_MAX_FIBONACCI_BITS = 16


class UndecodableError(ValueError):
    """A consent string that cannot be read in full. It permits nothing."""


class Bitfield(msgspec.Struct, frozen=True, gc=False):
    """Numbers 1 to ``width``, one bit each, number 1 in the most significant."""

    width: int
    bits: int

    def __contains__(self, number: int) -> bool:
        return 0 < number <= self.width and bool(self.bits >> (self.width - number) & 1)


class Ranges(msgspec.Struct, frozen=True, gc=False):
    """Numbers as inclusive (first, last) pairs."""

    pairs: tuple[tuple[int, int], ...]

    def __contains__(self, number: int) -> bool:
        return any(first <= number <= last for first, last in self.pairs)


class BitReader:
    """Takes fields off the front of a base64url text. Raises UndecodableError, whatever the text.

    A text need not be a whole number of bytes: encoders pad with zero bits to six or to eight.
    """

    __slots__ = ("_at", "_bits", "_size")

    def __init__(self, text: str) -> None:
        if not 0 < len(text) <= MAX_CHARS:
            raise UndecodableError("empty or too long")
        try:
            raw = text.encode("ascii")
        except UnicodeEncodeError as exc:
            raise UndecodableError("not base64url") from exc
        if raw.translate(None, _BASE64URL):
            raise UndecodableError("not base64url")
        padding = -len(raw) % 4
        decoded = base64.urlsafe_b64decode(raw + b"A" * padding)
        self._bits = int.from_bytes(decoded, "big") >> 6 * padding
        self._size = 6 * len(raw)
        self._at = 0

    def take(self, width: int) -> int:
        """Return the next ``width`` bits as a number."""
        end = self._at + width
        if end > self._size:
            raise UndecodableError("truncated")
        self._at = end
        return self._bits >> (self._size - end) & ((1 << width) - 1)

    def take_bitfield(self, width: int) -> Bitfield:
        """Return the next ``width`` bits as a set of numbers."""
        return Bitfield(width, self.take(width))

    def take_ranges(self, highest: int = 0xFFFF) -> Ranges:
        """Return a counted list of ranges: a 12-bit count, then 16-bit numbers or pairs of them."""
        count = self.take(12)
        bits, size, at = self._bits, self._size, self._at
        pairs = []
        for _ in range(count):
            at += 17
            if at > size:
                raise UndecodableError("truncated")
            entry = bits >> (size - at) & 0x1FFFF
            first = last = entry & 0xFFFF
            if entry > 0xFFFF:
                at += 16
                if at > size:
                    raise UndecodableError("truncated")
                last = bits >> (size - at) & 0xFFFF
            if not 0 < first <= last <= highest:
                raise UndecodableError("a range out of bounds")
            pairs.append((first, last))
        self._at = at
        return Ranges(tuple(pairs))

    def take_fibonacci(self) -> int:
        """Return the next Fibonacci-coded number: places are Fibonacci numbers, two ones end it."""
        total, place, next_place, last = 0, 1, 2, 0
        for _ in range(_MAX_FIBONACCI_BITS):
            bit = self.take(1)
            if bit and last:
                return total
            total += place * bit
            place, next_place, last = next_place, place + next_place, bit
        raise UndecodableError("a number without an end")

    def take_ids(self, most: int) -> list[int]:
        """Return a counted list of rising numbers, at most about ``most``.

        Each is told as the distance from the one before, in Fibonacci code; a group of neighbours
        tells its length too.
        """
        found: list[int] = []
        last = 0
        for _ in range(self.take(12)):
            grouped = self.take(1)
            first = last + self.take_fibonacci()
            last = first + self.take_fibonacci() if grouped else first
            if len(found) + last - first >= most:
                raise UndecodableError("too many numbers")
            found.extend(range(first, last + 1))
        return found

    def take_letters(self) -> str:
        """Return a two-letter code, six bits a letter. Some platforms write small letters."""
        letters = chr(ord("A") + self.take(6)) + chr(ord("A") + self.take(6))
        if not letters.isalpha():
            raise UndecodableError("no letter")
        return letters

    def end(self) -> None:
        """Check that nothing but zero padding is left: more would have a meaning we do not know."""
        if self._bits & ((1 << (self._size - self._at)) - 1):
            raise UndecodableError("more than the format has")
