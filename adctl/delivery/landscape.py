"""Prices in buckets of like size, so that what is won at a price can be counted."""

from __future__ import annotations

_STEPS = 8
"""Buckets for every doubling: each is at most an eighth wider than its lowest price."""


def price_bucket(cpm_micros: int) -> int:
    """Return the bucket of a price: the three bits after its first, behind its size.

    Whole numbers only, so that PostgreSQL's price_bucket agrees in every case. Prices below 8
    micros have a bucket each.
    """
    if cpm_micros < _STEPS:
        return max(cpm_micros, 0)
    bits = cpm_micros.bit_length()
    return (bits - 3) * _STEPS + ((cpm_micros >> (bits - 4)) & (_STEPS - 1))


def lowest_of(bucket: int) -> int:
    """Return the lowest price of a bucket in CPM micros; the next bucket's is beyond its highest.

    >>> [lowest_of(price_bucket(price)) for price in (7, 8, 1_000_000)]
    [7, 8, 983040]
    """
    doublings, step = divmod(bucket, _STEPS)
    return bucket if bucket < _STEPS else (_STEPS + step) << (doublings - 1)
