from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adctl.delivery.consent import permissions
from adctl.delivery.consent.bits import UndecodableError
from adctl.delivery.consent.us import LAYOUTS, us_privacy_permissions, us_section_permissions
from tests.unit.delivery.consent.encoding import ALPHABET, base64url, encode_us_section, number

EVERY = sorted(LAYOUTS)


def core(section: int, version: int, **kinds: list[int]) -> list[int]:
    """Return a core segment's fields: nothing applies, but for what ``kinds`` say."""
    layout = LAYOUTS[section, version]
    counts = {
        "notices": layout.notices,
        "opt_outs": layout.opt_outs,
        "sensitive": layout.sensitive,
        "children": layout.children,
        "other_consents": layout.other_consents,
        "mspa": 3,
    }
    return [field for kind, count in counts.items() for field in kinds.get(kind, [0] * count)]


@pytest.mark.parametrize("text", ["1---", "1YNN", "1NNN", "1YNY", "1YN-"])
def test_us_privacy_without_an_opt_out_forbids_nothing(text: str) -> None:
    assert us_privacy_permissions(text).identify


def test_us_privacy_that_does_not_apply_is_not_said_to() -> None:
    assert us_privacy_permissions("1---").applies == ()
    assert us_privacy_permissions("1YNN").applies == ("us",)


@pytest.mark.parametrize("text", ["1YYN", "1NYN", "1YYY", "1YY-", "1Y-N", "1N--"])
def test_us_privacy_opt_out_is_respected(text: str) -> None:
    permitted = us_privacy_permissions(text)
    assert (permitted.identify, permitted.reason) == (False, permissions.US_OPT_OUT)


@pytest.mark.parametrize("text", ["", "1", "2YNN", "1ynn", "1YN", "1YNNN", "1XNN", "1YN?", "0YNN"])
def test_us_privacy_garbage_counts_as_an_opt_out(text: str) -> None:
    permitted = us_privacy_permissions(text)
    assert (permitted.identify, permitted.reason) == (False, permissions.US_PRIVACY_UNREADABLE)


@given(st.text(max_size=6))
def test_us_privacy_permits_only_what_was_not_opted_out_of(text: str) -> None:
    assert not us_privacy_permissions(text).identify or text == "1---" or text[2] == "N"


@pytest.mark.parametrize("key", EVERY)
def test_section_without_an_opt_out_forbids_nothing(key: tuple[int, int]) -> None:
    for value in (0, 2):
        text = encode_us_section(key[1], core(*key, opt_outs=[value] * LAYOUTS[key].opt_outs))
        permitted = us_section_permissions(key[0], text)
        assert permitted == permissions.Permissions(applies=("us",))


@pytest.mark.parametrize("value", [1, 3])
@pytest.mark.parametrize("key", EVERY)
def test_every_opt_out_of_every_section_is_respected(key: tuple[int, int], value: int) -> None:
    count = LAYOUTS[key].opt_outs
    for place in range(count):
        opt_outs = [value if at == place else 2 for at in range(count)]
        text = encode_us_section(key[1], core(*key, opt_outs=opt_outs))
        assert us_section_permissions(key[0], text).reason == permissions.US_OPT_OUT


@pytest.mark.parametrize("key", EVERY)
def test_child_without_consent_is_not_identified(key: tuple[int, int]) -> None:
    children = [0] * (LAYOUTS[key].children - 1)
    text = encode_us_section(key[1], core(*key, children=[*children, 1]))
    assert not us_section_permissions(key[0], text).identify


@pytest.mark.parametrize("key", EVERY)
def test_service_providers_do_not_identify(key: tuple[int, int]) -> None:
    text = encode_us_section(key[1], core(*key, mspa=[1, 2, 1]))
    assert not us_section_permissions(key[0], text).identify


@pytest.mark.parametrize("key", EVERY)
def test_precise_location_can_be_refused_alone(key: tuple[int, int]) -> None:
    layout = LAYOUTS[key]
    sensitive = [1 if place == layout.location else 2 for place in range(1, layout.sensitive + 1)]
    text = encode_us_section(key[1], core(*key, sensitive=sensitive))
    permitted = us_section_permissions(key[0], text)
    assert permitted.identify
    assert permitted.precise_location is (layout.location == 0)


@pytest.mark.parametrize("key", EVERY)
def test_global_privacy_control_is_respected(key: tuple[int, int]) -> None:
    fields = core(*key)
    opted_out = us_section_permissions(key[0], encode_us_section(key[1], fields, gpc=True))
    assert (opted_out.identify, opted_out.reason) == (False, permissions.GPC)
    assert us_section_permissions(key[0], encode_us_section(key[1], fields, gpc=False)).identify


@pytest.mark.parametrize("key", EVERY)
def test_truncated_section_is_refused(key: tuple[int, int]) -> None:
    # The last fields are of the contract; a whole character of them is always lost.
    text = encode_us_section(key[1], core(*key, mspa=[2, 2, 2])).rstrip("A")
    for length in range(len(text)):
        with pytest.raises(UndecodableError):
            us_section_permissions(key[0], text[:length])


@pytest.mark.parametrize(
    "text",
    [
        encode_us_section(3, core(7, 1)),
        encode_us_section(1, [*core(7, 1), 2, 2, 2, 2]),
        encode_us_section(1, core(7, 1)) + ".",
        encode_us_section(1, core(7, 1)) + "." + base64url(number(2, 2) + "1"),
        encode_us_section(1, core(7, 1), gpc=False) + "." + base64url("011"),
    ],
)
def test_section_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(UndecodableError):
        us_section_permissions(7, text)


@given(st.sampled_from(EVERY), st.text(ALPHABET + ".~=", max_size=40))
def test_random_section_is_read_or_refused(key: tuple[int, int], text: str) -> None:
    try:
        us_section_permissions(key[0], text)
    except UndecodableError:
        return
