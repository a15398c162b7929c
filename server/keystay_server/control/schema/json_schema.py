"""
Declarations of JSON objects: one both validates a body and produces its JSON Schema.

Only types are checked here. Other rules are in the schema for its readers; they are
enforced where they have a meaning (`sessions/fields.py`).
"""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from keystay_protocol.errors import InvalidParams

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """
    The type of a value.

    `types` are the exact Python types of the JSON values: True is not an int. No types: any
    value. `expected` completes the error text "NAME must be ...".
    """

    expected: str
    types: tuple[type, ...]
    schema: Schema

    def narrowed(self, **keywords: Any) -> "Kind":
        """Return the kind with more keywords in its schema."""
        return replace(self, schema={**self.schema, **keywords})

    def or_null(self) -> "Kind":
        """Return the kind that allows null too."""
        match self.schema:
            case {"type": str(type_), **rest}:
                schema: Schema = {"type": [type_, "null"], **rest}
            case {} as anything if not anything:
                schema = {}
            case other:
                schema = {"anyOf": [other, {"type": "null"}]}
        return replace(self, schema=schema)


ANY = Kind("any JSON value", (), {})
TEXT = Kind("a string", (str,), {"type": "string"})
OBJECT = Kind("an object", (dict,), {"type": "object"})
WHOLE = Kind("a whole number", (int,), {"type": "integer"})
NUMBER = Kind("a number", (int, float), {"type": "number"})
SWITCH = Kind("true or false", (bool,), {"type": "boolean"})


def list_of(schema: Schema) -> Kind:
    """Return an array of these."""
    return Kind("an array", (list,), {"type": "array", "items": schema})


@dataclass(frozen=True, slots=True)
class Field:
    """A field of an object, or a parameter of a request."""

    name: str
    kind: Kind
    description: str
    required: bool = False

    def read(self, value: Any) -> Any:
        """
        Return the value. Null is the same as a missing field.

        Raises:
            InvalidParams: If it has another type, or is missing.
        """
        if value is None and not self.required:
            return None
        if not self.kind.types or type(value) in self.kind.types:
            return value
        raise InvalidParams(f"{self.name} must be {self.kind.expected}")

    def read_text(self, text: str) -> Any:
        """
        Return the value of a query parameter: a whole number within bounds, or the text.

        Raises:
            InvalidParams: If it must be a number and is not.
        """
        if self.kind.types != WHOLE.types:
            return text
        least, most = self.kind.schema["minimum"], self.kind.schema["maximum"]
        if text.isascii() and text.isdigit() and len(text) < 10 and least <= int(text) <= most:
            return int(text)
        raise InvalidParams(f"{self.name} must be a whole number from {least} to {most}")


@dataclass(frozen=True, slots=True)
class Shape:
    """
    An object, with its name in the OpenAPI document.

    `rules` are further keywords of its schema.
    """

    name: str
    fields: tuple[Field, ...]
    rules: Mapping[str, Any] = field(default_factory=dict)

    @property
    def reference(self) -> Schema:
        """The reference to its schema in the OpenAPI document."""
        return {"$ref": f"#/components/schemas/{self.name}"}

    def read(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """
        Return all fields, with None for the missing ones.

        Raises:
            InvalidParams: If a field is missing, unknown, or has another type.
        """
        refuse_unknown("field", value, [known.name for known in self.fields])
        return {known.name: known.read(value.get(known.name)) for known in self.fields}

    def request_schema(self) -> Schema:
        """The schema in a request: no other fields; null is the same as missing."""
        return {
            **self._schema(
                lambda known: known.kind if known.required else known.kind.or_null()
            ),
            "additionalProperties": False,
            **self.rules,
        }

    def response_schema(self) -> Schema:
        """The schema in a response: a later version may add fields."""
        return {**self._schema(lambda known: known.kind), **self.rules}

    def _schema(self, kind_of: Callable[[Field], Kind]) -> Schema:
        return {
            "type": "object",
            "properties": {
                known.name: {**kind_of(known).schema, "description": known.description}
                for known in self.fields
            },
            "required": [known.name for known in self.fields if known.required],
        }


def refuse_unknown(kind: str, given: Collection[str], allowed: Collection[str]) -> None:
    """
    Return if all given names are allowed.

    Raises:
        InvalidParams: If not. It quotes the name, shortened and escaped.
    """
    for name in given:
        if name not in allowed:
            raise InvalidParams(f"there is no {kind} {json.dumps(name[:64])}")
