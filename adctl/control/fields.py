"""Reading what people typed or posted, field by field, keeping every fault, not just the first."""

from __future__ import annotations

import re
from difflib import get_close_matches
from functools import partial
from reprlib import Repr
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from adctl.delivery.landing_page import has_fixed_host, macros_in, without_macros
from adctl.errors import Fault, FaultyInputError
from adctl.money import AmountError, parse_micros, parse_nanos

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

NAME_LENGTH = 200
MAX_LIST = 10_000
MAX_LEVELS = 32
"""How often tables and lists of one input may be in each other."""
MAX_FAULTS = 50
"""Faults of one input that are told; of the others, how many there are."""
MAX_FAULTS_OF_A_LIST = 20
"""Of what is wrong in one list, that many entries are named, and the others counted."""
_UNKNOWN_TOLD = 5
_URL_LENGTH = 2048
_AN_ADDRESS = f"an absolute http:// or https:// address of at most {_URL_LENGTH:,} characters"
_LONGEST_ECHO = 80
_LONGEST_NUMBER = 10**_LONGEST_ECHO
_BRIEF = Repr()
_BRIEF.maxlevel = 2
_BRIEF.maxstring = _BRIEF.maxother = _BRIEF.maxlong = _LONGEST_ECHO
# Characters that would end an attribute or a header wherever the address is put.
_NOT_IN_URL = re.compile(r"[\s\"'<>\\^`{|}\x00-\x1f\x7f]")
_AMOUNT = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?")
_HOST = re.compile(
    r"(?=.{1,253}$)[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?)*"
)


class Faults(list[Fault]):
    """What is wrong with an input: the first ones, and how many ``more``."""

    more = 0


class FieldReader:
    """The fields of one input. Every method returns None where it has noted a fault.

    ``notices`` are what was done to the input that whoever sent it may want to know.
    None and a missing field are the same: not given. Methods without ``required`` then return
    None silently.
    """

    def __init__(self, values: Mapping[str, object], prefix: str = "") -> None:
        self.values = values
        self.faults = Faults()
        self.notices: list[str] = []
        self._prefix = prefix

    def reject(self, field: str, value: object, expected: str | Callable[[], str]) -> None:
        """Note a fault, up to MAX_FAULTS. Long values are cut: the reader knows what was sent.

        What was ``expected`` is asked for only if it is told.
        """
        if len(self.faults) >= MAX_FAULTS:
            self.faults.more += 1
            return
        told = expected if isinstance(expected, str) else expected()
        self.faults.append(Fault(_cut(self._prefix + field), _shortened(value), told))

    def only(self, known: Collection[str], why: Mapping[str, str] | None = None) -> None:
        """Note fields that are not ``known``, a few by name; ``why`` explains some people try."""
        unknown = [field for field in self.values if field not in known]
        for field in unknown[:_UNKNOWN_TOLD]:
            reason = (why or {}).get(field)
            self.reject(field, self.values[field], reason or f"no such field{near(field, known)}")
        if len(unknown) > _UNKNOWN_TOLD:
            more = len(unknown) - _UNKNOWN_TOLD
            self.reject("", f"{more:,} more unknown fields", "none of them")

    def raise_faults(self, subject: str) -> None:
        """Raise FaultyInputError if any fault was noted."""
        if self.faults.more:
            more = Fault("", f"{self.faults.more:,} more faults", "none")
            raise FaultyInputError(subject, [*self.faults, more])
        if self.faults:
            raise FaultyInputError(subject, self.faults)

    def nested(self, field: str) -> FieldReader | None:
        """Return a reader of the table in ``field``; its faults are this one's."""
        value = self.values.get(field)
        if not isinstance(value, dict):
            if value is not None:
                self.reject(field, value, "a table (a JSON object) of fields")
            return None
        return self.inside(field, value)

    def inside(self, field: str, values: Mapping[str, object]) -> FieldReader:
        """Return a reader of ``values``, found in ``field``; its faults are this one's."""
        reader = FieldReader(values, f"{self._prefix}{field}.")
        reader.faults, reader.notices = self.faults, self.notices
        return reader

    def text(self, field: str, *, required: bool = False, longest: int = NAME_LENGTH) -> str | None:
        """Return a text of at most ``longest`` printable characters, without blanks around it."""
        value = self._given(field, required)
        if value is None:
            return None
        expected = f"a text of 1 to {longest} printable characters"
        text = value.strip() if isinstance(value, str) else ""
        if not text or len(text) > longest or not text.isprintable():
            self.reject(field, value, expected)
            return None
        return text

    def choice(self, field: str, options: Collection[str]) -> str | None:
        """Return one of ``options``."""
        value = self._given(field, required=True)
        if value is None:
            return None
        if isinstance(value, str) and value in options:
            return str(value)
        self.reject(field, value, lambda: f"one of {', '.join(options)}{near(value, options)}")
        return None

    def nanos(self, field: str, least: int = 1) -> int | None:
        """Return an amount of at least ``least`` nanos. Only a decimal text is one, no number."""
        return self._amount(field, parse_nanos, least)

    def micros(self, field: str) -> int | None:
        """Return a price above 0, in micros."""
        return self._amount(field, parse_micros)

    def _amount(self, field: str, parse: Callable[[str], int], least: int = 1) -> int | None:
        value = self._given(field, required=True)
        if value is None:
            return None
        if not isinstance(value, str):
            self.reject(field, value, 'a decimal in quotes, such as "12.50"')
            return None
        try:
            # Stricter than Decimal, which takes exponents, underscores and other scripts' digits.
            amount = parse(value if _AMOUNT.fullmatch(value) else "")
        except AmountError as exc:
            self.reject(field, value, str(exc))
            return None
        if amount < least:
            self.reject(field, value, "an amount above 0")
            return None
        return amount

    def integer(self, field: str, allowed: Callable[[int], bool], expected: str) -> int | None:
        """Return an integer that is ``allowed``."""
        value = self._given(field, required=True)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or not allowed(value):
            self.reject(field, value, expected)
            return None
        return value

    def flag(self, field: str) -> bool:
        """Return whether a flag is set; one that is missing is not."""
        value = self.values.get(field)
        if value is not None and not isinstance(value, bool):
            self.reject(field, value, "true or false")
        return value is True

    def number(self, field: str, low: float, high: float) -> float | None:
        """Return a number from ``low`` to ``high``."""
        value = self._given(field, required=True)
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if is_number and low <= value <= high:  # type: ignore[operator]
            return float(value)  # type: ignore[arg-type]
        if value is not None:
            self.reject(field, value, f"a number from {low:g} to {high:g}")
        return None

    def items(self, field: str, longest: int = MAX_LIST) -> list[object]:
        """Return the list in ``field``; a single value is a list of one, nothing an empty one."""
        value = self.values.get(field)
        if value is None:
            return []
        found = value if isinstance(value, list) else [value]
        if len(found) > longest:
            self.reject(field, f"{len(found)} items", f"at most {longest} items")
            return []
        return found

    def texts(
        self,
        field: str,
        normal: Callable[[str], str | None],
        expected: str | Callable[[str], str],
        longest: int = MAX_LIST,
    ) -> tuple[str, ...]:
        """Return the list in ``field``, each text as ``normal`` makes it, without repetitions.

        ``normal`` returns None for a text that is none of ``expected``.
        """
        found: dict[str, None] = {}
        refused: list[object] = []
        items = self.items(field, longest)
        for item in items:
            text = normal(item.strip()) if isinstance(item, str) else None
            if text is None:
                refused.append(item)
            else:
                found[text] = None
        for item in refused[:MAX_FAULTS_OF_A_LIST]:
            hint = expected if isinstance(expected, str) else partial(expected, _told(item))
            self.reject(field, item, hint)
        if len(refused) > MAX_FAULTS_OF_A_LIST:
            more = f"{len(refused) - MAX_FAULTS_OF_A_LIST:,} more of {len(items):,} items"
            self.reject(field, more, "likewise")
        repeated = len(items) - len(refused) - len(found)
        if repeated:
            self.notices.append(
                f"{self._prefix}{field}: {repeated:,} of {len(items):,} items left out, as others "
                "name the same"
            )
        return tuple(found)

    def url(
        self, field: str, *, required: bool = False, macros: Collection[str] = ()
    ) -> str | None:
        """Return an absolute http or https address, in which ``macros`` may stand behind its host.

        What is no such macro is noted, each by itself.
        """
        value = self._given(field, required)
        if value is None:
            return None
        if not isinstance(value, str):
            self.reject(field, value, _AN_ADDRESS)
            return None
        before = len(self.faults)
        for macro in macros_in(value) if macros else ():
            if macro not in macros:
                known = ", ".join(macros)
                self.reject(field, macro, f"a macro: one of {known}{near(macro, macros)}")
        plain = without_macros(value) if macros else value
        if plain != value and not has_fixed_host(value):
            self.reject(field, value, "macros behind the host only: in path, query or fragment")
        elif split_url(plain) is None or len(value) > _URL_LENGTH:
            self.reject(field, value, _AN_ADDRESS)
        return value if len(self.faults) == before else None

    def _given(self, field: str, required: bool) -> object:
        value = self.values.get(field)
        if value is None and required:
            self.reject(field, value, "a value: this field is required")
        return value


def split_url(text: str) -> SplitResult | None:
    """Return the parts of an absolute http(s) address without user and password, else None."""
    if len(text) > _URL_LENGTH or not text.isascii() or _NOT_IN_URL.search(text):
        return None
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and parts.port != 0
    except ValueError:
        return None
    host = (parts.hostname or "").removesuffix(".")
    return parts if usable and "@" not in parts.netloc and _HOST.fullmatch(host) else None


def near(value: object, options: Collection[str]) -> str:
    """Return ``; did you mean X?`` if one of ``options`` is close to ``value``, else nothing."""
    matches: Sequence[str] = get_close_matches(_told(value).lower(), list(options), n=1)
    return f"; did you mean {matches[0]}?" if matches else ""


def nests_too_deeply(fields: Mapping[str, object]) -> bool:
    """Whether tables and lists are in each other more than MAX_LEVELS times."""
    inner: list[Any] = [fields]
    for _ in range(MAX_LEVELS):
        inner = [
            part
            for outer in inner
            for part in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(part, (dict, list))
        ]
        if not inner:
            return False
    return True


def _shortened(value: object) -> object:
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, int) and abs(value) < _LONGEST_NUMBER:
        return value
    return _cut(_told(value))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_ECHO else text[:_LONGEST_ECHO] + "…"


def _told(value: object) -> str:
    """Return the beginning of a value's text, however long or deep it is."""
    if isinstance(value, str):
        return value[: _LONGEST_ECHO + 1]
    try:
        return _BRIEF.repr(value)
    except ValueError:
        # More digits than Python writes down.
        return "a number of thousands of digits"
