"""What can be set for one exchange."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator

from adctl.config_keys import parse_price_keys
from adctl.config_section import Section

# By billing_event: the notice whose URL it is told to.
_BILLING_NOTICE = {"nurl": "win_notice", "burl": "billing_notice"}


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
    price_encoding: Literal["plain", "base64", "encrypted"] = "plain"
    price_keys: SecretStr = SecretStr("")

    @field_validator("win_notice", "billing_notice")
    @classmethod
    def _the_notice_that_bills_is_asked_for(cls, asked: bool, info: ValidationInfo) -> bool:
        event = info.data.get("billing_event")
        if not asked and _BILLING_NOTICE.get(event or "") == info.field_name:
            raise ValueError(f"true, as billing_event is {event}")
        return asked

    @field_validator("price_keys")
    @classmethod
    def _price_keys_are_two(cls, keys: SecretStr) -> SecretStr:
        if keys.get_secret_value():
            parse_price_keys(keys.get_secret_value())
        return keys

    @model_validator(mode="after")
    def _encrypted_prices_have_keys(self) -> Self:
        if self.price_encoding == "encrypted" and not self.price_keys.get_secret_value():
            raise ValueError("price_keys too, where price_encoding is encrypted")
        return self
