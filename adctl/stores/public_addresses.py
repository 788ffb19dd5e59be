"""Which addresses are the public's: what somebody typed in must not lead to a neighbour of ours."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network

Address = IPv4Address | IPv6Address

_MAPPED = ip_network("::ffff:0:0/96")
_NAT64 = ip_network("64:ff9b::/96")
# No host's addresses, though Python (3.11) calls some global: most carry an IPv4 address in a form
# that some router may take out again.
_NOBODYS = tuple(
    ip_network(text)
    for text in (
        "192.88.99.0/24",  # 6to4's relays
        "::/96",  # IPv4-compatible
        "::ffff:0:0:0/96",  # translated
        "64:ff9b:1::/48",  # NAT64 for local use
        "2001::/32",  # Teredo
        "2002::/16",  # 6to4
        "3fff::/20",
        "5f00::/16",
        "fec0::/10",  # site-local
    )
)


def carried(address: Address) -> Address:
    """Return the IPv4 address that one of IPv6 stands for here and behind a NAT64; else itself."""
    if address in _MAPPED or address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def is_public(address: Address) -> bool:
    """Whether an address is anybody's on the Internet, and of one host."""
    inner = carried(address)
    if any(inner in network for network in _NOBODYS):
        return False
    return inner.is_global and not inner.is_multicast and not inner.is_reserved
