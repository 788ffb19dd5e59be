from __future__ import annotations

from ipaddress import ip_address

import pytest

from adctl.stores.public_addresses import carried, is_public

PRIVATE = ("10.0.0.1", "127.0.0.1", "169.254.169.254", "192.168.1.1", "100.64.0.1", "0.0.0.0")


def within(prefix: str, ipv4: str, shift: int = 0) -> str:
    return str(ip_address(int(ip_address(prefix)) | int(ip_address(ipv4)) << shift))


@pytest.mark.parametrize(
    "address",
    [
        *PRIVATE,
        "172.16.0.1",
        "198.18.0.1",
        "192.0.2.1",
        "192.88.99.1",
        "224.0.0.1",
        "239.1.1.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fec0::1",
        "fc00::1",
        "fd12::1",
        "ff02::1",
        "ff0e::1",
        "100::1",
        "2001:db8::1",
        "3fff::1",
        "5f00::1",
        "4000::1",
    ],
)
def test_address_that_is_nobodys_on_the_internet_is_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("ipv4", PRIVATE)
def test_private_address_within_one_of_ipv6_is_not_public(ipv4: str) -> None:
    told = [
        within("::ffff:0:0", ipv4),  # mapped
        within("::", ipv4),  # compatible
        within("::ffff:0:0:0", ipv4),  # translated
        within("64:ff9b::", ipv4),  # NAT64
        within("64:ff9b:1::", ipv4),  # NAT64 for local use, and its shorter prefix
        within("64:ff9b:1::", ipv4, 40),
        within("2002::", ipv4, 80),  # 6to4
        within("2001::", ipv4, 64),  # Teredo: its server, and its client upside down
        within("2001::", str(ip_address(int(ip_address(ipv4)) ^ 0xFFFF_FFFF))),
    ]
    assert [one for one in told if is_public(ip_address(one))] == []


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "2606:4700::1111", "2a00:1450::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"],
)
def test_anybodys_address_is_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize("address", ["::8.8.8.8", "2002:808:808::", "64:ff9b:1::8.8.8.8"])
def test_address_in_a_form_that_no_host_has_is_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


def test_what_an_address_stands_for() -> None:
    assert carried(ip_address("::ffff:10.0.0.1")) == ip_address("10.0.0.1")
    assert carried(ip_address("64:ff9b::a00:1")) == ip_address("10.0.0.1")
    assert carried(ip_address("2a00::1")) == ip_address("2a00::1")
