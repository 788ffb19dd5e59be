"""Telling what makes sense of a message's bytes from what makes none, and why it does not."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import msgspec

from adctl.models import DeadLetterReason
from adctl.stores.stream_marks import is_outward_id
from adctl.streams.consumer import IncomingMessage
from adctl.streams.schemas import version_of

if TYPE_CHECKING:
    from collections.abc import Iterator

Message = TypeVar("Message", bound=msgspec.Struct)


class Poison(NamedTuple):
    """A message that cannot be applied, and why."""

    message: IncomingMessage
    reason: DeadLetterReason
    detail: str


class PoisonError(Exception):
    """A message that makes no sense."""

    def __init__(self, reason: DeadLetterReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def decode(message: IncomingMessage, of: type[Message]) -> Message:
    """Return what a message holds; one of a newer schema is read as far as it is known.

    Raises PoisonError.
    """
    version = message.schema_version or "1"
    if not (version.isdecimal() and version.isascii()) or len(version) > 9:
        raise PoisonError(DeadLetterReason.BAD_HEADER, f"schema_version {version!r} is no number")
    try:
        return msgspec.json.decode(message.value, type=of)
    except msgspec.ValidationError as exc:
        newer = int(version) > version_of(message.topic)
        reason = DeadLetterReason.NEWER_SCHEMA if newer else DeadLetterReason.WRONG_SHAPE
        raise PoisonError(reason, str(exc)) from exc
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise PoisonError(DeadLetterReason.NOT_JSON, str(exc)) from exc


def require_stream_id(message: IncomingMessage) -> None:
    """Return if an event says which entry of its stream it was. Raises PoisonError."""
    if not is_outward_id(message.stream_id):
        raise PoisonError(DeadLetterReason.BAD_HEADER, "no id of an entry of the event stream")


@contextmanager
def in_range() -> Iterator[None]:
    """Turn what happens to moments beyond the calendar into PoisonError."""
    try:
        yield
    except (ValueError, OverflowError, OSError) as exc:
        raise PoisonError(DeadLetterReason.OUT_OF_RANGE, str(exc)) from exc
