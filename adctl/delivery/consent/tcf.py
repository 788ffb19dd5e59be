"""TC strings, version 2: how consent under the GDPR is told (TCF 2.0 to 2.4).

The format is IAB Tech Lab's "Transparency and Consent String with Global Vendor & CMP List
Formats": https://github.com/InteractiveAdvertisingBureau/GDPR-Transparency-and-Consent-Framework
(TCFv2). A string is a core segment and, behind dots and in any order, further ones.
"""

from __future__ import annotations

import msgspec

from adctl.delivery.consent.bits import MAX_CHARS, Bitfield, BitReader, Ranges, UndecodableError

VendorIds = Bitfield | Ranges

_VERSION = 2
_DISCLOSED_VENDORS, _ALLOWED_VENDORS, _PUBLISHER_TC = 1, 2, 3


class Restriction(msgspec.Struct, frozen=True):
    """What the publisher restricts vendors to for a purpose.

    ``kind``: 0 not allowed, 1 only with consent, 2 only with legitimate interest, 3 undefined.
    """

    purpose: int
    kind: int
    vendors: Ranges


class TcString(msgspec.Struct, frozen=True):
    """The fields of a TC string. Times are deciseconds since 1970.

    ``disclosed_vendors`` is None where the string does not have the segment.
    """

    created_ds: int
    last_updated_ds: int
    cmp_id: int
    cmp_version: int
    consent_screen: int
    consent_language: str
    vendor_list_version: int
    policy_version: int
    is_service_specific: bool
    use_non_standard_texts: bool
    special_feature_opt_ins: Bitfield
    purposes_consent: Bitfield
    purposes_li_transparency: Bitfield
    purpose_one_treatment: bool
    publisher_country: str
    vendor_consents: VendorIds
    vendor_legitimate_interests: VendorIds
    publisher_restrictions: tuple[Restriction, ...]
    disclosed_vendors: VendorIds | None = None


def decode_tc_string(text: str) -> TcString:
    """Return the fields of ``text``. Raises UndecodableError for anything but a whole TC string.

    A segment of an unknown kind is refused as well: what it says might restrict the others.
    """
    if len(text) > MAX_CHARS:
        raise UndecodableError("too long")
    core, *others = text.split(".")
    string = _decode_core(BitReader(core))
    seen = set()
    for other in others:
        reader = BitReader(other)
        kind = reader.take(3)
        if kind in seen:
            raise UndecodableError("a segment twice")
        seen.add(kind)
        if kind == _DISCLOSED_VENDORS:
            disclosed = _take_vendors(reader)
            string = msgspec.structs.replace(string, disclosed_vendors=disclosed)
        elif kind == _ALLOWED_VENDORS:
            _take_vendors(reader)
        elif kind == _PUBLISHER_TC:
            _skip_publisher_tc(reader)
        else:
            raise UndecodableError("an unknown segment")
        reader.end()
    return string


def _decode_core(reader: BitReader) -> TcString:
    if reader.take(6) != _VERSION:
        raise UndecodableError("not version 2")
    string = TcString(
        created_ds=reader.take(36),
        last_updated_ds=reader.take(36),
        cmp_id=reader.take(12),
        cmp_version=reader.take(12),
        consent_screen=reader.take(6),
        consent_language=reader.take_letters(),
        vendor_list_version=reader.take(12),
        policy_version=reader.take(6),
        is_service_specific=bool(reader.take(1)),
        use_non_standard_texts=bool(reader.take(1)),
        special_feature_opt_ins=reader.take_bitfield(12),
        purposes_consent=reader.take_bitfield(24),
        purposes_li_transparency=reader.take_bitfield(24),
        purpose_one_treatment=bool(reader.take(1)),
        publisher_country=reader.take_letters(),
        vendor_consents=_take_vendors(reader),
        vendor_legitimate_interests=_take_vendors(reader),
        publisher_restrictions=_take_restrictions(reader),
    )
    reader.end()
    return string


def _take_vendors(reader: BitReader) -> VendorIds:
    highest = reader.take(16)
    return reader.take_ranges(highest) if reader.take(1) else reader.take_bitfield(highest)


def _take_restrictions(reader: BitReader) -> tuple[Restriction, ...]:
    return tuple(
        Restriction(purpose=reader.take(6), kind=reader.take(2), vendors=reader.take_ranges())
        for _ in range(reader.take(12))
    )


def _skip_publisher_tc(reader: BitReader) -> None:
    reader.take(24 + 24)
    custom_purposes = reader.take(6)
    reader.take(2 * custom_purposes)
