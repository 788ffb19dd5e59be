"""What is wrong with a configuration, in plain words and without showing a secret."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, SecretStr

from adctl.config_section import KeyFaultError
from adctl.errors import Fault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import ValidationError
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

HIDDEN = "(hidden)"

# Text that is shown: no account in a URL, no setting of a longer text, no key in hexadecimal or
# base64, all of which people paste where something else belongs.
_PLAIN = re.compile(r"(?!.*://[^/]*:)[^@=\s]?([^@=\n\r]{0,38}[^@=\s])?")
# Where tomllib found it; before that its message may quote what it found.
_TOML_PLACE = re.compile(r"\((at [^()'\"]*)\)$")

# By pydantic's type of error; its own message where there is none. ``{…}`` are its details.
_EXPECTED = {
    "extra_forbidden": "a key that exists; `adctl config show` lists them",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "finite_number": "a number",
    "greater_than": "a number above {gt:g}",
    "greater_than_equal": "a number of at least {ge:g}",
    "less_than": "a number below {lt:g}",
    "less_than_equal": "a number of at most {le:g}",
    "literal_error": "{expected}",
    "string_type": "text",
    "string_too_short": "text that is not empty",
    "path_type": "a path",
    "model_type": "a table of keys",
    "model_attributes_type": "a table of keys",
    "dict_type": "a table of keys",
}


def faults_of(error: ValidationError, settings: type[BaseModel]) -> list[Fault]:
    """Return every fault of ``error``, which validating ``settings`` raised."""
    return [_fault(details, settings) for details in error.errors()]


def shown(value: object) -> object:
    """Return what a person may be shown of a value that is not known to be a secret.

    Numbers and short plain text; for whatever may hold a secret that stands in the wrong place,
    HIDDEN.
    """
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return value if isinstance(value, str) and _PLAIN.fullmatch(value) else HIDDEN


def toml_fault(error: ValueError) -> str:
    """Return what would be right where text is not TOML, with the place but without the text."""
    if isinstance(error, UnicodeDecodeError):
        return f"TOML in UTF-8 (byte {error.start + 1} is not)"
    text = str(error)
    place = _TOML_PLACE.search(text)
    told = re.split(r"[\"'(:]", text)[0].strip()
    return f"TOML ({told} {place[1]})" if place else f"TOML ({told})"


def _fault(error: ErrorDetails, settings: type[BaseModel]) -> Fault:
    path = [str(part) for part in error["loc"]]
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, KeyFaultError):
        # Found where several keys were looked at together; one of them is named.
        path += cause.key.split(".")
    field = field_at(settings, path)
    template = _EXPECTED.get(error["type"])
    if template is not None:
        expected = template.format_map(error.get("ctx", {}))
    elif field is not None and field.description and not error["type"].startswith("value_error"):
        expected = field.description
    else:
        expected = error["msg"].removeprefix("Value error, ")
    value = cause.value if isinstance(cause, KeyFaultError) else error["input"]
    hidden = field is None or _may_be_secret(field)
    name = ".".join(str(shown(part)) for part in path)
    return Fault(name, HIDDEN if hidden else shown(value), expected)


def _may_be_secret(field: FieldInfo) -> bool:
    section = section_of(field)
    members = section.model_fields.values() if section else ()
    return is_secret(field) or any(is_secret(member) for member in members)


def is_secret(field: FieldInfo) -> bool:
    """Whether the field's value must not be shown."""
    return SecretStr in (field.annotation, *get_args(field.annotation))


def section_of(field: FieldInfo) -> type[BaseModel] | None:
    """Return the model behind a field that is a table or a table of tables, else None."""
    for kind in (field.annotation, *get_args(field.annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def field_at(settings: type[BaseModel], path: list[str]) -> FieldInfo | None:
    """Return the field that ``path`` leads to, None if there is no such key."""
    fields: Mapping[str, Any] = settings.model_fields
    field: FieldInfo | None = None
    for part in path:
        if part in fields:
            field = fields[part]
        elif field is None or field.annotation is section_of(field):
            return None
        # Otherwise the name of a table in a table of tables, such as an exchange's.
        section = section_of(field)
        fields = section.model_fields if section else {}
    return field
