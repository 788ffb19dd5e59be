"""Reading what was meant: the slow way into a struct, for JSON that has not the struct's types.

Plain is what can mean one thing only: what ``scalars`` read, a text alone where a list of them is
due, ``[]`` for an object with nothing in it and ``{}`` for such a list, as PHP and Lua write them.
All else cannot be read, and each attribute has a rule that says what is then made of it. The work
is bounded by the number of values, and of those that cannot be read there may be MAX_FAULTS.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from adctl.openrtb.request import Exact
from adctl.openrtb.scalars import LONGEST, UnreadableError, is_blank, note, scalar_reading

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adctl.openrtb.scalars import Found, Read

DROPPED = "dropped"
"""What is noted of an attribute that counts as not told."""
STRICT = "strict"
"""It counts as the strictest that it can have meant."""
REFUSED = "refused"
"""What it belongs to cannot be answered: a kind of ad, a deal, the impression, or the request."""

# A text with one of these is no single name: a list in one text, JSON in JSON, a macro.
_NO_NAME = re.compile(r"[\s,;|\[\]{}()<>\"'\\%$#]")
# Numbers of GPP's sections are usually written with underscores between them.
_BETWEEN_NUMBERS = re.compile(r"[,_]")
# Only plain decimals are written as numbers; integers of more than 64 bits are not at all.
_encoder = msgspec.json.Encoder(decimal_format="number", enc_hook=Decimal)


class Rule(msgspec.Struct, frozen=True):
    """What becomes of an attribute that cannot be read.

    ``instead`` is what a STRICT one counts as. With ``each``, the entries of a list stand each for
    themselves, and those that cannot be read are left out, unless none is left. An ``alternative``
    is dropped, unless no other one of its object is left. ``as_is`` takes nothing but a text, and
    ``as_json`` makes one of an object. Entries that are ``words`` are never numbers, and
    ``digits`` never texts.
    """

    outcome: str
    instead: Any = None
    each: bool = False
    alternative: bool = False
    as_is: bool = False
    as_json: bool = False
    words: bool = False
    digits: bool = False


Rules = dict[type[msgspec.Struct], dict[str, Rule]]


class Field(msgspec.Struct, frozen=True):
    """How one attribute is read: ``read`` takes its value and where to note what was amiss."""

    path: str
    read: Any
    rule: Rule


class Shape:
    """How objects of one struct are read, made from the struct's own types and a rule for each.

    ``path`` is the attribute whose value they are; '' for a whole message. Raises KeyError for an
    attribute without a rule. Attributes ``apart`` are left to somebody else.
    """

    def __init__(
        self,
        of: type[msgspec.Struct],
        rules: Rules,
        path: str = "",
        apart: frozenset[str] = frozenset(),
    ) -> None:
        self.fields: dict[str, Field] = {}
        self._make = of
        told = [field for field in msgspec.structs.fields(of) if field.name not in apart]
        for field in told:
            rule = rules[of][field.name]
            below = f"{path}.{field.name}" if path else field.name
            kind = msgspec.inspect.type_info(field.type)
            read = _as_text if rule.as_is else _reading(kind, rules, below, rule)
            if rule.as_json:
                read = _json(read, below)
            if rule.digits:
                read = _no_text(read)
            self.fields[field.name] = Field(below, read, rule)
        self._required = [field.name for field in told if field.required]
        self._alternatives = [n for n, field in self.fields.items() if field.rule.alternative]

    def read(self, raw: Any, found: Found) -> Any:
        """Return the struct that ``raw`` means; what was amiss is noted in ``found``.

        Raises UnreadableError.
        """
        if type(raw) is not dict:
            raise UnreadableError
        told, refusal = self.parts(raw, found)
        if refusal is not None:
            raise refusal
        return self._make(**told)

    def parts(
        self, raw: Mapping[str, Any], found: Found
    ) -> tuple[dict[str, Any], UnreadableError | None]:
        """Return the attributes that could be read, and the fault that refuses the object, or None.

        Every fault is noted in ``found``, not only the first.
        """
        fields, told = self.fields, dict[str, Any]()
        refusal: UnreadableError | None = None
        lost: UnreadableError | None = None
        for name, value in raw.items():
            if value is None or (field := fields.get(name)) is None:
                continue
            try:
                told[name] = field.read(value, found)
            except UnreadableError as exc:
                rule = field.rule
                if not exc.noted:
                    exc.noted = True
                    found.count_fault()
                    found[field.path] = rule.outcome
                if rule.outcome == REFUSED:
                    refusal = exc
                elif rule.outcome == STRICT:
                    told[name] = rule.instead
                if rule.alternative:
                    lost = exc
        if lost and all(told.get(name) is None for name in self._alternatives):
            refusal = lost
        if any(told.get(name) is None for name in self._required):
            refusal = refusal or UnreadableError()
        return told, refusal


def decode_any(text: bytes | str) -> Any:
    """Return the JSON in ``text`` as Python's own types, its numbers exact.

    Raises msgspec's DecodeError, RecursionError, and other ValueErrors.
    """
    return _decoder.decode(text)


def _exact_or_text(number: str) -> Exact | str:
    try:
        return Exact(number)
    except ArithmeticError:
        # With an exponent that no number has; as a text it cannot be read either.
        return number


_decoder = msgspec.json.Decoder(float_hook=_exact_or_text)


def _reading(kind: msgspec.inspect.Type, rules: Rules, path: str, rule: Rule) -> Read:
    kinds = kind.types if isinstance(kind, msgspec.inspect.UnionType) else (kind,)
    kinds = tuple(one for one in kinds if not isinstance(one, msgspec.inspect.NoneType))
    (first, *others) = kinds
    if not others and isinstance(first, msgspec.inspect.StructType):
        return _object(Shape(first.cls, rules, path), path)
    if not others and isinstance(first, msgspec.inspect.RawType):
        return _as_it_came
    if not others and isinstance(first, msgspec.inspect.ListType):
        return _list(first.item_type, rules, path, rule)
    return scalar_reading(kinds, path)


def _as_text(value: Any, _found: Found) -> str:
    if type(value) is not str or not value:
        raise UnreadableError
    return value


def _as_it_came(value: Any, _found: Found) -> msgspec.Raw:
    """Return JSON that somebody else reads, whatever it is."""
    try:
        return msgspec.Raw(_encoder.encode(value))
    except RecursionError as exc:
        raise UnreadableError from exc


def _no_text(read_number: Read) -> Read:
    def read(value: Any, found: Found) -> Any:
        if type(value) is str and not is_blank(value):
            raise UnreadableError
        return read_number(value, found)

    return read


def _word(value: Any, _found: Found) -> str:
    if type(value) is not str:
        raise UnreadableError
    return value


def _json(read_text: Read, path: str) -> Read:
    def read(value: Any, found: Found) -> Any:
        if type(value) is not dict:
            return read_text(value, found)
        try:
            text = _encoder.encode(value).decode()
        except RecursionError as exc:
            raise UnreadableError from exc
        note(found, path)
        return text

    return read


def _object(shape: Shape, path: str) -> Read:
    def read(value: Any, found: Found) -> Any:
        if type(value) is dict:
            return shape.read(value, found)
        if type(value) is list and not value:
            told = shape.read({}, found)
        elif is_blank(value):
            told = None
        else:
            raise UnreadableError
        note(found, path)
        return told

    return read


def _list(of: msgspec.inspect.Type, rules: Rules, path: str, rule: Rule) -> Read:
    read_entry = _word if rule.words else _reading(of, rules, path, Rule(REFUSED))
    objects = isinstance(of, msgspec.inspect.StructType)
    texts = isinstance(of, msgspec.inspect.StrType)
    natural = None if objects else {str} if texts else {int}

    def read(value: Any, found: Found) -> Any:
        if type(value) is list:
            if set(map(type, value)) == natural:
                return value
            return _entries(value, read_entry, found, path, rule)
        if type(value) is dict and not value:
            entries: list[Any] | None = []
        elif is_blank(value):
            entries = None
        elif objects or type(value) is dict:
            raise UnreadableError
        else:
            told = _names(value) if texts else _numbers(value)
            entries = [read_entry(one, found) for one in told]
            if None in entries:
                raise UnreadableError
        note(found, path)
        return entries

    return read


def _names(value: Any) -> list[Any]:
    """Return the one entry of a list of texts that is written without the list."""
    if type(value) is str and (len(value) > LONGEST or _NO_NAME.search(value)):
        raise UnreadableError
    return [value]


def _numbers(value: Any) -> list[Any]:
    """Return the entries of a list of numbers that is one number, or a text with commas."""
    if type(value) is not str:
        return [value]
    if len(value) > LONGEST:
        raise UnreadableError
    return _BETWEEN_NUMBERS.split(value)


def _entries(value: list[Any], read_entry: Read, found: Found, path: str, rule: Rule) -> list[Any]:
    entries, lost = [], False
    for one in value:
        try:
            entry = None if one is None else read_entry(one, found)
        except UnreadableError as exc:
            if not rule.each:
                raise
            if not exc.noted:
                found.count_fault()
                found[path] = DROPPED
            lost = True
            continue
        if entry is not None:
            entries.append(entry)
        else:
            # A blank entry is none; null is one that was lost on the way.
            lost = lost or one is None
            note(found, path)
    if lost and not entries:
        raise UnreadableError
    return entries
