"""What can be set for one exchange."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Literal, NamedTuple, Self
from urllib.parse import unquote

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator

from adctl.config_faults import HIDDEN
from adctl.config_keys import parse_price_keys
from adctl.config_presets import PRESETS, Preset
from adctl.config_section import KeyFaultError, Section

# By billing_event: the notice whose URL it is told to.
_BILLING_NOTICE = {"nurl": "win_notice", "burl": "billing_notice"}
# What stands in a URL as it is, whatever an exchange looks for. It has a mark that no price has,
# plain or in base64: one that an exchange leaves as it was is never taken for a price.
_PRICE_MACRO = re.compile(r"[A-Za-z0-9_$%{}\[\]():.!*~@-]{1,64}")
_MARK = re.compile(r"[$%{}\[\]()!*~@]")
_FEE = re.compile(r"(0|[1-9][0-9]?)(\.[0-9]{1,4})?")
_PPM_PER_PERCENT = 10_000
# What is usual, by encoding. The suffix is what the specification shows for base64.
_USUAL = {
    "plain": Preset("", ()),
    "base64": Preset("", (), "base64", "cpm", "${AUCTION_PRICE:B64}"),
    "encrypted": Preset("", (), "encrypted", "cpm_micros"),
}


class PriceForm(NamedTuple):
    """How an exchange writes its price: see config.toml. ``fee_ppm`` is missing from it."""

    encoding: str
    unit: str
    macro: str
    fee_ppm: int


class ExchangeSettings(Section):
    """``[exchanges.NAME]``."""

    billing_event: Literal["impression", "burl", "nurl"] = "impression"
    win_notice: bool = True
    billing_notice: bool = True
    loss_notice: bool = True
    seat: str = ""
    currency: str = Field(
        default="", pattern=r"^([A-Z]{3})?$", description="three capital letters such as USD"
    )
    qps_limit: int = Field(default=0, ge=0)
    require_complete_schain: bool = False
    no_bid: Literal["empty", "nbr"] = "empty"
    gdpr_policy: Literal["", "contextual", "no_bid"] = ""
    preset: str = ""
    price_encoding: Literal["", "plain", "base64", "encrypted"] = ""
    price_unit: Literal["", "cpm", "cpm_cents", "cpm_micros", "impression", "impression_micros"] = (
        ""
    )
    price_macro: str = ""
    price_lacks_fee_percent: str = "0"
    price_keys: SecretStr = SecretStr("")

    @field_validator("win_notice", "billing_notice")
    @classmethod
    def _the_notice_that_bills_is_asked_for(cls, asked: bool, info: ValidationInfo) -> bool:
        event = info.data.get("billing_event")
        if not asked and _BILLING_NOTICE.get(event or "") == info.field_name:
            raise ValueError(f"true, as billing_event is {event}")
        return asked

    @field_validator("preset")
    @classmethod
    def _preset_is_known(cls, preset: str) -> str:
        if preset and preset not in PRESETS:
            raise ValueError(f"one of {', '.join(PRESETS)}, or nothing")
        return preset

    @field_validator("price_macro")
    @classmethod
    def _macro_may_stand_in_a_url(cls, macro: str) -> str:
        if macro and not (_PRICE_MACRO.fullmatch(macro) and _MARK.search(unquote(macro))):
            raise ValueError(
                "1 to 64 letters, digits and _ $ % { } [ ] ( ) : . ! * ~ @ -, of which one is "
                "a mark that no price has, as ${AUCTION_PRICE} or %%WINNING_PRICE%%"
            )
        return macro

    @field_validator("price_lacks_fee_percent")
    @classmethod
    def _fee_is_a_percentage(cls, fee: str) -> str:
        if not _FEE.fullmatch(fee):
            raise ValueError('a percentage below 100 in quotes, such as "12.5"')
        return fee

    @field_validator("price_keys")
    @classmethod
    def _price_keys_are_two(cls, keys: SecretStr) -> SecretStr:
        if keys.get_secret_value():
            parse_price_keys(keys.get_secret_value())
        return keys

    @model_validator(mode="after")
    def _encrypted_prices_have_keys(self) -> Self:
        if self.price_form.encoding == "encrypted" and not self.price_keys.get_secret_value():
            raise KeyFaultError(
                "price_keys", HIDDEN, "the exchange's two keys, where price_encoding is encrypted"
            )
        return self

    @property
    def price_form(self) -> PriceForm:
        """How the exchange writes its price: what the section says, else its preset, else usual."""
        preset = PRESETS.get(self.preset)
        if preset is None or self.price_encoding not in ("", preset.price_encoding):
            # A preset's unit and macro go with its encoding.
            preset = _USUAL[self.price_encoding or "plain"]
        return PriceForm(
            preset.price_encoding,
            self.price_unit or preset.price_unit,
            self.price_macro or preset.price_macro,
            int(Decimal(self.price_lacks_fee_percent) * _PPM_PER_PERCENT),
        )
