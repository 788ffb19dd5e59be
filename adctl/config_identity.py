"""Whose bid request it is: which ids count, in which order."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import field_validator

from adctl.config_section import Section

EIDS = "eids"
"""Any source of ``user.eids``; one source is ``eids:DOMAIN``."""

# Our own id, the exchange's, the device's; then those that mean a person on any site, before those
# that others keep.
DEFAULT_SOURCES = (
    "buyeruid",
    "user.id",
    "ifa",
    "eids:uidapi.com",
    "eids:euid.eu",
    "eids:liveramp.com",
    "eids:netid.de",
    "eids:adserver.org",
    "eids:id5-sync.com",
    EIDS,
)
_DOMAIN = r"[a-z0-9-]+(?:\.[a-z0-9-]+)+"
_SOURCE = re.compile(rf"buyeruid|user\.id|ifa|eids(?::{_DOMAIN})?")
_INSERTER = re.compile(_DOMAIN)


class IdentitySettings(Section):
    """``[identity]``."""

    sources: tuple[str, ...] = DEFAULT_SOURCES
    inferred: Literal["never", "by_source", "always"] = "by_source"
    inserters: tuple[str, ...] = ()

    @field_validator("sources", mode="after")
    @classmethod
    def _sources_are_known(cls, sources: tuple[str, ...]) -> tuple[str, ...]:
        return _each_once(sources, _SOURCE, "buyeruid, user.id, ifa, eids and eids:DOMAIN")

    @field_validator("inserters", mode="after")
    @classmethod
    def _inserters_are_domains(cls, inserters: tuple[str, ...]) -> tuple[str, ...]:
        return _each_once(inserters, _INSERTER, "domains such as exchange.example")


def _each_once(told: tuple[str, ...], form: re.Pattern[str], expected: str) -> tuple[str, ...]:
    texts = tuple([text.strip().lower() for text in told])
    if wrong := [text for text in texts if not form.fullmatch(text)]:
        raise ValueError(f"{expected}, not {', '.join(map(repr, wrong))}")
    if len(set(texts)) < len(texts):
        raise ValueError(f"{expected}, each once")
    return texts
