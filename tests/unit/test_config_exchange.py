from __future__ import annotations

import pytest
from pydantic import ValidationError

from adctl.config import Settings
from adctl.config_exchange import ExchangeSettings, PriceForm
from adctl.config_presets import PRESETS
from adctl.control.price_trial import try_price
from adctl.delivery.price_macro import MICROS_OF_UNIT
from adctl.delivery.terms import terms_by_exchange

KEYS = "skU7Ax_NL5pPAFyKdkfZjZz2-VhIN8bjj1rVFOaJ_5o=:arO23ykdNqUQ5LEoQ0FVmPkBd7xB5CO89PDZlSjpFxo="


def section(**keys: str) -> ExchangeSettings:
    return ExchangeSettings(**{"price_keys": KEYS, **keys})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("keys", "form"),
    [
        ({}, ("plain", "cpm", "${AUCTION_PRICE}", 0)),
        ({"price_encoding": "base64"}, ("base64", "cpm", "${AUCTION_PRICE:B64}", 0)),
        ({"price_encoding": "encrypted"}, ("encrypted", "cpm_micros", "${AUCTION_PRICE}", 0)),
        ({"preset": "google"}, ("encrypted", "impression_micros", "${AUCTION_PRICE}", 0)),
        ({"preset": "google", "price_unit": "cpm"}, ("encrypted", "cpm", "${AUCTION_PRICE}", 0)),
        (
            {"preset": "openx", "price_macro": "{winning_price}"},
            ("encrypted", "impression_micros", "{winning_price}", 0),
        ),
        # A preset's unit goes with its encoding.
        ({"preset": "openx", "price_encoding": "plain"}, ("plain", "cpm", "${AUCTION_PRICE}", 0)),
        (
            {"price_lacks_fee_percent": "12.5", "price_macro": "%%WINNING_PRICE%%"},
            ("plain", "cpm", "%%WINNING_PRICE%%", 125_000),
        ),
    ],
)
def test_a_section_stands_over_its_preset_and_that_over_what_is_usual(
    keys: dict[str, str], form: tuple[str, str, str, int]
) -> None:
    assert section(**keys).price_form == PriceForm(*form)


@pytest.mark.parametrize(
    "macro", ["{AUCTION_PRICE}", "%%AD_PRICE%%", "[PRICE]", "$(PRICE)", "@@PRICE@@", "${P:OX}"]
)
def test_a_macro_in_anybodys_marks_may_be_named(macro: str) -> None:
    assert section(price_macro=macro).price_form.macro == macro


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_one_that_can_be_used_and_names_its_pages(name: str) -> None:
    preset = PRESETS[name]
    form = section(preset=name).price_form
    assert form == PriceForm(preset.price_encoding, preset.price_unit, preset.price_macro, 0)
    assert form.unit in MICROS_OF_UNIT
    assert preset.pages
    assert all(page.startswith("https://") for page in preset.pages)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("preset", "gogle", "one of bidmachine"),
        ("price_macro", "${PRICE}&x=1", "digits and _"),
        ("price_macro", "#{PRICE}", "digits and _"),
        ("price_macro", "a price", "digits and _"),
        ("price_macro", "1.5", "no price has"),
        ("price_macro", "MS41", "no price has"),
        ("price_macro", "%31%2E%35", "no price has"),
        ("price_lacks_fee_percent", "100", "below 100"),
        ("price_lacks_fee_percent", "-1", "below 100"),
        ("price_lacks_fee_percent", "1_0", "below 100"),
        ("price_lacks_fee_percent", "ten", "below 100"),
        ("price_unit", "cents", "cpm_cents"),
    ],
)
def test_a_setting_that_cannot_be_right_is_said_to_be(key: str, value: str, expected: str) -> None:
    with pytest.raises(ValidationError, match=expected):
        section(**{key: value})


def test_a_preset_that_encrypts_needs_keys() -> None:
    with pytest.raises(ValidationError, match="two keys"):
        ExchangeSettings(preset="google")


def test_bids_carry_the_macro_that_the_exchange_replaces() -> None:
    settings = Settings(exchanges={"openx": section(preset="openx")})
    assert terms_by_exchange(settings)["openx"].notices.price_macro == "${AUCTION_PRICE:OXCRYPT}"


@pytest.mark.parametrize(
    ("keys", "told", "cpm", "why"),
    [
        ({}, "1.40", "1.40", ""),
        ({"price_unit": "impression_micros"}, "1500", "1.50", ""),
        ({"price_lacks_fee_percent": "10"}, "1.80", "2.00", ""),
        ({}, "1,40", None, "not a number"),
        ({}, "-1", None, "not a number"),
        ({}, "AUDIT", None, "no price"),
        ({}, "", None, "no price"),
        ({}, "${AUCTION_PRICE}", None, "price_macro"),
        ({}, "%%WINNING_PRICE%%", None, "price_macro"),
        ({}, "%24%7BAUCTION_PRICE%7D", None, "price_macro"),
        ({"price_encoding": "base64"}, "${AUCTION_PRICE}", None, "price_macro"),
        ({"preset": "openx"}, "{winning_price}", None, "price_macro"),
        ({}, "YWJjMTIzZGVmNDU2Z2hpN7fhCuPemCAWJRxOgAxx", None, "price_encoding"),
        ({}, "9" * 41, None, "longer than any price"),
        ({"preset": "google"}, "9" * 101, None, "longer than any price"),
        ({"price_encoding": "base64"}, "1.4", None, "price_encoding"),
        ({"price_encoding": "base64"}, "bm9wZQ", None, "not a number"),
        ({"preset": "google"}, "1.40", None, "price_encoding"),
        ({"preset": "google"}, "MDEyMzQ1Njc4OWFiY2RlZh74cJqpEdzMTy4CUA", None, "price_keys"),
        ({"preset": "google"}, "YWJjMTIzZGVmNDU2Z2hpN7fhCuPemCAWJRxOgA", "1.90", ""),
    ],
)
def test_a_price_can_be_tried(keys: dict[str, str], told: str, cpm: str | None, why: str) -> None:
    trial = try_price(section(**keys), told)
    assert (trial.told, trial.cpm) == (told, cpm)
    assert why in trial.why
    assert bool(trial.why) is (cpm is None)
    assert (trial.one_impression is None) is (cpm is None)
