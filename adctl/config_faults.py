"""What is wrong with a configuration, in plain words and without showing a secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, SecretStr

from adctl.errors import Fault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import ValidationError
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

HIDDEN = "(hidden)"

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


def _fault(error: ErrorDetails, settings: type[BaseModel]) -> Fault:
    path = [str(part) for part in error["loc"]]
    field = field_at(settings, path)
    template = _EXPECTED.get(error["type"])
    if template is not None:
        expected = template.format_map(error.get("ctx", {}))
    elif field is not None and field.description and not error["type"].startswith("value_error"):
        expected = field.description
    else:
        expected = error["msg"].removeprefix("Value error, ")
    value = HIDDEN if _may_be_secret(field) else error["input"]
    return Fault(".".join(path), value, expected)


def _may_be_secret(field: FieldInfo | None) -> bool:
    if field is None:
        return False
    section = section_of(field)
    members = section.model_fields.values() if section else ()
    return is_secret(field) or any(is_secret(member) for member in members)


def is_secret(field: FieldInfo) -> bool:
    """Whether the field's value must not be shown."""
    return field.annotation is SecretStr


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
