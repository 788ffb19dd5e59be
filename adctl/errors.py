"""The one tree of errors adctl raises on purpose, each with the exit code the CLI returns.

The codes are documented in docs/exit-codes.md; a test holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence


class AdctlError(Exception):
    """Something adctl can explain to the person who asked. Never shown as a traceback."""

    exit_code: ClassVar[int] = 1


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with an input: where, what it was, and what would be right."""

    field: str
    value: object
    expected: str

    def __str__(self) -> str:
        """Read as one line: ``daily_budget: got '-5'; expected an amount above 0``."""
        return f"{self.field}: got {self.value!r}; expected {self.expected}"


class FaultyInputError(AdctlError):
    """Input refused. Carries every fault found, not just the first."""

    exit_code = 3

    def __init__(self, subject: str, faults: Sequence[Fault]) -> None:
        self.subject = subject
        self.faults = tuple(faults)
        lines = "\n".join(f"  {fault}" for fault in self.faults)
        super().__init__(f"{subject} is not valid:\n{lines}")


class ConfigError(FaultyInputError):
    """The configuration cannot be used; all its faults are reported together."""

    exit_code = 4


class NotFoundError(AdctlError):
    """What was named does not exist."""

    exit_code = 5


class ConflictError(AdctlError):
    """The state of things forbids it: a duplicate name, a folder in use, an archived campaign."""

    exit_code = 6


class StoreUnavailableError(AdctlError):
    """PostgreSQL, Redis, Kafka or the api could not be reached or did not answer in time."""

    exit_code = 7


class NewerSchemaError(StoreUnavailableError):
    """The database was made by a newer adctl than this one, which must not work on it."""

    exit_code = 9


class UnhealthyError(AdctlError):
    """A check ran and failed: ``doctor``, ``stack status``."""

    exit_code = 8


class DisprovedError(AdctlError):
    """The books do not add up: an invariant that ``budget prove`` checks does not hold.

    Its exit code is 1, as of any error that has none of its own.
    """


class LedgerBehindError(UnhealthyError):
    """PostgreSQL lacks events it once confirmed: it was restored to a moment before them."""


class ForgedTokenError(AdctlError):
    """A tracking token whose signature, shape or version is wrong."""


class ExpiredTokenError(AdctlError):
    """A tracking token that was ours, but is too old to count."""


class FutureTokenError(AdctlError):
    """A tracking token that is ours, of a bid that has not been made yet: some clock is wrong."""
