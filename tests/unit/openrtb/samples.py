"""Bid requests with every attribute that there is, made from the structs, and their attributes."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from adctl.openrtb import App, BidRequest, Dooh, Site, decode_request
from adctl.openrtb.unreadable import RULES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adctl.openrtb.lenient import Rule

Json = dict[str, Any]
Step = str | int

_KINDS = {
    msgspec.inspect.StrType: "text",
    msgspec.inspect.BoolType: "flag",
    msgspec.inspect.IntType: "integer",
    msgspec.inspect.FloatType: "number",
    msgspec.inspect.CustomType: "exact",
}
_SAMPLES = {"text": "7", "flag": 1, "integer": 3, "number": 640, "exact": 1.5}


class Attribute(NamedTuple):
    """An attribute of a request: where it is, of which struct, and what it may be.

    ``kinds`` are text, flag, integer, number, exact, object and list; ``entries`` those of a list.
    """

    steps: tuple[Step, ...]
    struct: type[msgspec.Struct]
    kinds: frozenset[str]
    entries: frozenset[str]

    @property
    def name(self) -> str:
        """The attribute's name, without those above it."""
        return str(self.steps[-1])

    @property
    def path(self) -> str:
        """The attribute's dotted name, as it is told to operators."""
        return ".".join(step for step in self.steps if isinstance(step, str))

    @property
    def rule(self) -> Rule:
        """What becomes of it where it cannot be read."""
        return RULES[self.struct][self.name]


def full_request(inventory: type[msgspec.Struct] = Site) -> Json:
    """Return a request with every attribute, on one kind of inventory, and a second impression."""
    request: Json = _sample(BidRequest)
    # Codes of the first taxonomy are no numbers.
    request["cattax"] = 6
    for name, kind in (("site", Site), ("app", App), ("dooh", Dooh)):
        if kind is not inventory:
            del request[name]
    request["imp"].append({"id": "neighbour", "banner": {"w": 300, "h": 250}})
    return request


def attributes_of(struct: type[msgspec.Struct], *above: Step) -> Iterator[Attribute]:
    """Yield every attribute of a struct and of those below it; of lists, in their first entry."""
    for field in _read_fields(struct):
        kinds = _types(field.type)
        steps = (*above, field.name)
        (first, *_) = kinds
        entries: tuple[msgspec.inspect.Type, ...] = ()
        if isinstance(first, msgspec.inspect.ListType):
            entries = _types(first.item_type)
        yield Attribute(steps, struct, _named(kinds), _named(entries))
        if isinstance(first, msgspec.inspect.StructType):
            yield from attributes_of(first.cls, *steps)
        if entries and isinstance(entries[0], msgspec.inspect.StructType):
            yield from attributes_of(entries[0].cls, *steps, 0)


def attributes_on(inventory: type[msgspec.Struct] = Site) -> list[Attribute]:
    """Return the attributes of full_request."""
    here = inventory.__name__.lower()
    others = {"site", "app", "dooh"} - {here}
    return [one for one in attributes_of(BidRequest) if one.steps[0] not in others]


def changed(request: Json, steps: tuple[Step, ...], value: Any) -> Json:
    """Return ``request`` with another value at these steps; without one where it is Ellipsis."""
    whole = copy.deepcopy(request)
    inner: Any = whole
    for step in steps[:-1]:
        inner = inner[step]
    if value is ...:
        del inner[steps[-1]]
    else:
        inner[steps[-1]] = value
    return whole


def decoded(request: Json) -> BidRequest:
    """Return what is read of a request."""
    return decode_request(json.dumps(request).encode())


def decision_of(request: BidRequest) -> Json:
    """Return all of a request that is decided on."""
    told = {name: getattr(request, name) for name in BidRequest.__struct_fields__}
    unread = request.unread
    return told | {
        "refused": unread is not None and unread.refused,
        "imps": unread.imps if unread else (),
    }


def _sample(struct: type[msgspec.Struct]) -> Json:
    return {field.name: _sample_of(_types(field.type)) for field in _read_fields(struct)}


def _read_fields(struct: type[msgspec.Struct]) -> list[msgspec.structs.FieldInfo]:
    """Return the attributes of a struct that are not kept as they came, whatever they are."""
    return [f for f in msgspec.structs.fields(struct) if f.type is not msgspec.Raw]


def _sample_of(kinds: tuple[msgspec.inspect.Type, ...]) -> Any:
    (first, *_) = kinds
    if isinstance(first, msgspec.inspect.StructType):
        return _sample(first.cls)
    if isinstance(first, msgspec.inspect.ListType):
        return [_sample_of(_types(first.item_type))]
    names = _named(kinds)
    return next(sample for name, sample in _SAMPLES.items() if name in names)


def _types(kind: Any) -> tuple[msgspec.inspect.Type, ...]:
    told = kind if isinstance(kind, msgspec.inspect.Type) else msgspec.inspect.type_info(kind)
    several = told.types if isinstance(told, msgspec.inspect.UnionType) else (told,)
    return tuple(one for one in several if not isinstance(one, msgspec.inspect.NoneType))


def _named(kinds: tuple[msgspec.inspect.Type, ...]) -> frozenset[str]:
    names = set()
    for kind in kinds:
        if isinstance(kind, msgspec.inspect.StructType):
            names.add("object")
        elif isinstance(kind, msgspec.inspect.ListType):
            names.add("list")
        else:
            names.add(_KINDS[type(kind)])
    return frozenset(names)
