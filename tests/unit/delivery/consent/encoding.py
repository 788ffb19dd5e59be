"""Writes consent strings as platforms do, to read them back."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec

from adctl.delivery.consent.bits import Bitfield, Ranges
from adctl.delivery.consent.tcf import Restriction, TcString

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from adctl.delivery.consent.tcf import VendorIds

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
VENDOR = 755
BEFORE_DISCLOSURE_DS = 17_000_000_000  # in November 2023


def some(width: int, numbers: Iterable[int]) -> Bitfield:
    return Bitfield(width, sum(1 << (width - number) for number in set(numbers)))


ALL_CONSENT = TcString(
    created_ds=BEFORE_DISCLOSURE_DS,
    last_updated_ds=BEFORE_DISCLOSURE_DS,
    cmp_id=10,
    cmp_version=1,
    consent_screen=1,
    consent_language="EN",
    vendor_list_version=200,
    policy_version=4,
    is_service_specific=True,
    use_non_standard_texts=False,
    special_feature_opt_ins=some(12, [1, 2]),
    purposes_consent=some(24, range(1, 12)),
    purposes_li_transparency=some(24, []),
    purpose_one_treatment=False,
    publisher_country="DE",
    vendor_consents=some(1200, [1, VENDOR, 1200]),
    vendor_legitimate_interests=some(0, []),
    publisher_restrictions=(),
)


def consenting(**changes: object) -> TcString:
    """Return a string that permits VENDOR everything, or what is asked for."""
    return msgspec.structs.replace(ALL_CONSENT, **changes)


def typical_tc_string() -> str:
    """Return what a platform that shows every vendor writes: 800 characters, restrictions."""
    every = range(1, 1201)
    five = Ranges(tuple((vendor, vendor) for vendor in (25, 91, 410, 600, 1100)))
    string = consenting(
        vendor_consents=some(1200, (vendor for vendor in every if vendor % 3)),
        vendor_legitimate_interests=some(1200, (vendor for vendor in every if vendor % 4)),
        publisher_restrictions=tuple(Restriction(purpose, 1, five) for purpose in (2, 7, 8)),
        disclosed_vendors=some(1200, every),
    )
    return encode_tc_string(string, publisher_tc=True)


def number(value: int, width: int) -> str:
    return f"{value:0{width}b}" if width else ""


def base64url(bits: str, unit: int = 6) -> str:
    bits += "0" * (-len(bits) % unit)
    bits += "0" * (-len(bits) % 6)
    return "".join(ALPHABET[int(bits[at : at + 6], 2)] for at in range(0, len(bits), 6))


def encode_tc_string(string: TcString, publisher_tc: bool = False, unit: int = 6) -> str:
    segments = [_core(string)]
    if string.disclosed_vendors is not None:
        segments.append(number(1, 3) + _vendors(string.disclosed_vendors))
    if publisher_tc:
        segments.append(number(3, 3) + "10" * 24 + number(2, 6) + "0110")
    return ".".join(base64url(bits, unit) for bits in segments)


def _core(string: TcString) -> str:
    return "".join(
        [
            number(2, 6),
            number(string.created_ds, 36),
            number(string.last_updated_ds, 36),
            number(string.cmp_id, 12),
            number(string.cmp_version, 12),
            number(string.consent_screen, 6),
            _letters(string.consent_language),
            number(string.vendor_list_version, 12),
            number(string.policy_version, 6),
            number(string.is_service_specific, 1),
            number(string.use_non_standard_texts, 1),
            number(string.special_feature_opt_ins.bits, 12),
            number(string.purposes_consent.bits, 24),
            number(string.purposes_li_transparency.bits, 24),
            number(string.purpose_one_treatment, 1),
            _letters(string.publisher_country),
            _vendors(string.vendor_consents),
            _vendors(string.vendor_legitimate_interests),
            number(len(string.publisher_restrictions), 12),
            *(_restriction(restriction) for restriction in string.publisher_restrictions),
        ]
    )


def _letters(code: str) -> str:
    return "".join(number(ord(letter) - ord("A"), 6) for letter in code)


def _vendors(vendors: VendorIds) -> str:
    if isinstance(vendors, Bitfield):
        return number(vendors.width, 16) + "0" + number(vendors.bits, vendors.width)
    highest = max((last for _, last in vendors.pairs), default=0)
    return number(highest, 16) + "1" + _ranges(vendors)


def _ranges(ranges: Ranges) -> str:
    return number(len(ranges.pairs), 12) + "".join(
        "0" + number(first, 16) if first == last else "1" + number(first, 16) + number(last, 16)
        for first, last in ranges.pairs
    )


def _restriction(restriction: Restriction) -> str:
    return (
        number(restriction.purpose, 6) + number(restriction.kind, 2) + _ranges(restriction.vendors)
    )


def fibonacci(value: int) -> str:
    places = [1, 2]
    while places[-1] <= value:
        places.append(places[-1] + places[-2])
    code = ""
    for place in reversed([place for place in places if place <= value]):
        code = ("1" if place <= value else "0") + code
        value -= place if place <= value else 0
    return code + "1"


def encode_gpp(sections: Mapping[int, str]) -> str:
    ids = sorted(sections)
    distances = [ids[0], *(later - former for former, later in pairwise(ids))]
    header = number(3, 6) + number(1, 6) + number(len(ids), 12)
    header += "".join("0" + fibonacci(distance) for distance in distances)
    return "~".join([base64url(header), *(sections[section] for section in ids)])


def encode_us_section(version: int, fields: Sequence[int], gpc: bool | None = None) -> str:
    core = base64url(number(version, 6) + "".join(number(field, 2) for field in fields), 8)
    return core if gpc is None else f"{core}.{base64url('01' + number(gpc, 1), 8)}"
