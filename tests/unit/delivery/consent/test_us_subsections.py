from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adctl.delivery.consent import permissions
from adctl.delivery.consent.bits import UndecodableError
from adctl.delivery.consent.gpp import gpp_permissions
from adctl.delivery.consent.us import us_section_permissions
from adctl.delivery.consent.us_subsections import STATES
from tests.unit.delivery.consent.encoding import (
    ALPHABET,
    VENDOR,
    base64url,
    encode_gpp,
    fibonacci,
    number,
)

MARYLAND = 24
EVERY = sorted(STATES)
OTHERS = [section for section in EVERY if section != MARYLAND]
IDENTIFIED = permissions.Permissions(applies=("us",))


def core(section: int, **kinds: list[int]) -> str:
    """Return a core segment of a transaction that is covered; nothing applies but ``kinds``."""
    counts = {"mspa": [1, 1], "notices": [0] * 3, "opt_outs": [0] * 2}
    if section != MARYLAND:
        counts["children"] = [0]
    fields = [one for kind, usual in counts.items() for one in kinds.get(kind, usual)]
    return base64url(number(1, 6) + "".join(number(one, 2) for one in [*fields, 0]), 8)


def header(section: int, *ids: int, version: int = 1) -> str:
    entries = "".join("0" + fibonacci(one) for one in ids)
    return base64url(number(section, 6) + number(version, 6) + number(len(ids), 12) + entries)


def sensitive(location: int) -> str:
    return base64url("10" * 7 + number(location, 2))


def forms(section: int, first: str, *others: str) -> list[str]:
    """Return the section with its header and without."""
    whole = ".".join([first, *others])
    return [whole, f"{header(section, *([1] if others else []))}.{whole}"]


@pytest.mark.parametrize("section", EVERY)
@pytest.mark.parametrize("value", [0, 2])
def test_section_without_an_opt_out_forbids_nothing(section: int, value: int) -> None:
    for text in forms(section, core(section, opt_outs=[value, value])):
        assert us_section_permissions(section, text) == IDENTIFIED
        (permitted,) = gpp_permissions(encode_gpp({section: text}), (section,), VENDOR)
        assert permitted == IDENTIFIED


@pytest.mark.parametrize("section", EVERY)
@pytest.mark.parametrize(
    "told",
    [
        {"opt_outs": [1, 2]},
        {"opt_outs": [2, 1]},
        {"opt_outs": [2, 3]},
        {"mspa": [1, 2]},
        {"mspa": [1, 3]},
    ],
)
def test_opt_out_is_respected(section: int, told: dict[str, list[int]]) -> None:
    for text in forms(section, core(section, **told)):
        assert us_section_permissions(section, text).reason == permissions.US_OPT_OUT


@pytest.mark.parametrize("section", OTHERS)
def test_child_without_consent_is_not_identified(section: int) -> None:
    for text in forms(section, core(section, children=[1])):
        assert not us_section_permissions(section, text).identify


@pytest.mark.parametrize("section", OTHERS)
@pytest.mark.parametrize(("told", "permitted"), [(0, True), (1, False), (2, True), (3, False)])
def test_precise_location_can_be_refused_alone(section: int, told: int, permitted: bool) -> None:
    for text in forms(section, core(section), sensitive(told)):
        found = us_section_permissions(section, text)
        assert (found.identify, found.precise_location) == (True, permitted)


def test_global_privacy_control_is_respected_in_maryland() -> None:
    for text in forms(MARYLAND, core(MARYLAND), base64url("011", 8)):
        found = us_section_permissions(MARYLAND, text)
        assert (found.identify, found.reason) == (False, permissions.GPC)
    for text in forms(MARYLAND, core(MARYLAND), base64url("010", 8)):
        assert us_section_permissions(MARYLAND, text) == IDENTIFIED


def test_what_the_iabs_encoder_writes_is_read() -> None:
    assert us_section_permissions(MARYLAND, "BQAA.QA") == IDENTIFIED
    assert us_section_permissions(MARYLAND, "BVVU.YA").reason == permissions.GPC
    for section in OTHERS:
        assert us_section_permissions(section, "BQAA.AAA") == IDENTIFIED
        assert us_section_permissions(section, "BVVV.kkk").reason == permissions.US_OPT_OUT


@pytest.mark.parametrize("section", EVERY)
def test_section_of_another_form_is_refused(section: int) -> None:
    whole = core(section)
    texts = [
        "",
        header(section),
        f"{header(section + 1)}.{whole}",
        f"{header(section, version=2)}.{whole}",
        f"{header(section, 1)}.{whole}",
        f"{header(section, 2)}.{whole}.{sensitive(2)}",
        f"{header(section)}.{whole}.{sensitive(2)}",
        f"{header(section, 1)}.{whole}..",
        f"{whole}.{sensitive(2)}.{sensitive(2)}",
        f"{header(section)}.{base64url('0' * 24)}",
        whole + "B",
    ]
    for text in texts:
        with pytest.raises(UndecodableError):
            us_section_permissions(section, text)


@pytest.mark.parametrize("section", EVERY)
def test_truncated_section_is_refused(section: int) -> None:
    text = forms(section, core(section, opt_outs=[2, 2]))[1]
    least = len(header(section)) + 4
    for length in range(least):
        with pytest.raises(UndecodableError):
            us_section_permissions(section, text[:length])


@given(st.sampled_from(EVERY), st.text(ALPHABET + ".~=", max_size=40))
def test_random_section_is_read_or_refused(section: int, text: str) -> None:
    for whole in (text, "B" + text, f"{header(section)}.{text}"):
        try:
            us_section_permissions(section, whole)
        except UndecodableError:
            continue
