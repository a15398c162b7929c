"""
What JSON may look like: one declaration that a body is checked by, and that is its JSON Schema.

It says of what type each field is. What a type cannot say is checked where it
means something (`fields`), and stands here for those who read the schema.
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
    What a value may be.

    `types` are those of Python that the JSON values have, exactly: True is no int.
    None at all stands for any value.
    """

    words: str
    types: tuple[type, ...]
    schema: Schema

    def narrowed(self, **keywords: Any) -> "Kind":
        """The same with more keywords in its schema."""
        return replace(self, schema={**self.schema, **keywords})

    def or_null(self) -> "Kind":
        """The same, or null."""
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
    """An array of these."""
    return Kind("an array", (list,), {"type": "array", "items": schema})


@dataclass(frozen=True, slots=True)
class Field:
    """A field of an object, or a parameter of a request."""

    name: str
    kind: Kind
    about: str
    required: bool = False

    def read(self, value: Any) -> Any:
        """
        Return the value; null is as good as leaving a field out.

        Raises:
            InvalidParams: If it is of another type, or missing.
        """
        if value is None and not self.required:
            return None
        if not self.kind.types or type(value) in self.kind.types:
            return value
        raise InvalidParams(f"{self.name} must be {self.kind.words}")

    def read_text(self, text: str) -> Any:
        """
        Return what a query parameter says: a whole number within bounds, or the text.

        Raises:
            InvalidParams: If it must be a number and is none.
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
    An object, by its name in the description of the API.

    `rules` are more keywords of its schema.
    """

    name: str
    fields: tuple[Field, ...]
    rules: Mapping[str, Any] = field(default_factory=dict)

    @property
    def reference(self) -> Schema:
        """Where its schema is."""
        return {"$ref": f"#/components/schemas/{self.name}"}

    def read(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """
        Return the value with every field there, None for what was left out.

        Raises:
            InvalidParams: If a field is missing, of another type, or unknown.
        """
        refuse_unknown("field", value, [known.name for known in self.fields])
        return {known.name: known.read(value.get(known.name)) for known in self.fields}

    def question(self) -> Schema:
        """The schema of what is sent: no other fields, and null is as good as leaving out."""
        return {
            **self._schema(
                lambda known: known.kind if known.required else known.kind.or_null()
            ),
            "additionalProperties": False,
            **self.rules,
        }

    def answer(self) -> Schema:
        """The schema of what is answered: a later version may tell more."""
        return {**self._schema(lambda known: known.kind), **self.rules}

    def _schema(self, kind_of: Callable[[Field], Kind]) -> Schema:
        return {
            "type": "object",
            "properties": {
                known.name: {**kind_of(known).schema, "description": known.about}
                for known in self.fields
            },
            "required": [known.name for known in self.fields if known.required],
        }


def refuse_unknown(kind: str, given: Collection[str], allowed: Collection[str]) -> None:
    """
    Pass if all that is given is allowed.

    Raises:
        InvalidParams: If not; it quotes the name so that it fits a line and can be printed.
    """
    for name in given:
        if name not in allowed:
            raise InvalidParams(f"there is no {kind} {json.dumps(name[:64])}")
