"""
`control/schema.py`: one declaration that checks a body, and is its JSON Schema.
"""

from typing import Any

import jsonschema_rs
import pytest

from keystay_protocol.errors import InvalidParams
from keystay_server.control.schema.json_schema import (
    ANY,
    NUMBER,
    OBJECT,
    SWITCH,
    TEXT,
    WHOLE,
    Field,
    Kind,
    Shape,
    list_of,
)

EITHER = Kind(
    "a string or a whole number",
    (str, int),
    {"anyOf": [{"type": "string"}, {"type": "integer"}]},
)
SHAPE = Shape(
    "Thing",
    (
        Field("who", EITHER, "", required=True),
        Field("text", TEXT, ""),
        Field("object", OBJECT, ""),
        Field("whole", WHOLE, ""),
        Field("number", NUMBER, ""),
        Field("switch", SWITCH, ""),
        Field("list", list_of({"type": "string"}), ""),
        Field("any", ANY, ""),
    ),
)

RIGHT: list[dict[str, Any]] = [
    {"who": "a"},
    {"who": 7, "text": "", "object": {}, "whole": -1, "number": 0.5, "switch": False},
    {"who": 7, "number": 2, "list": ["a"], "any": [{"a": None}]},
    {"who": 7, "text": None, "object": None, "whole": None, "number": None, "any": None},
]
WRONG: list[tuple[dict[str, Any], str]] = [
    ({}, "who must be a string or a whole number"),
    ({"who": None}, "who must be a string or a whole number"),
    ({"who": True}, "who must be"),
    ({"who": 7.5}, "who must be"),
    ({"who": "a", "text": 1}, "text must be a string"),
    ({"who": "a", "object": []}, "object must be an object"),
    ({"who": "a", "whole": "1"}, "whole must be a whole number"),
    ({"who": "a", "number": True}, "number must be a number"),
    ({"who": "a", "switch": 1}, "switch must be true or false"),
    ({"who": "a", "list": {}}, "list must be an array"),
    ({"who": "a", "other": 1}, 'there is no field "other"'),
]


@pytest.mark.parametrize("value", RIGHT)
def test_what_the_schema_allows_is_read(value: dict[str, Any]) -> None:
    """With None for every field that was left out."""
    assert jsonschema_rs.is_valid(SHAPE.request_schema(), value)
    names = [field.name for field in SHAPE.fields]
    assert SHAPE.read(value) == {name: value.get(name) for name in names}


@pytest.mark.parametrize(("value", "words"), WRONG)
def test_what_the_schema_forbids_is_refused(value: dict[str, Any], words: str) -> None:
    """The error names the field and says what it must be."""
    assert not jsonschema_rs.is_valid(SHAPE.request_schema(), value)
    with pytest.raises(InvalidParams, match=words):
        SHAPE.read(value)


def test_an_answer_may_tell_more_later() -> None:
    """What is answered is described without forbidding fields of a later version."""
    assert jsonschema_rs.is_valid(SHAPE.response_schema(), {"who": "a", "other": 1})
    assert not jsonschema_rs.is_valid(SHAPE.response_schema(), {"who": "a", "text": None})


@pytest.mark.parametrize("kind", [ANY, NUMBER, OBJECT, SWITCH, TEXT, WHOLE, EITHER])
def test_each_kind_can_be_null(kind: Kind) -> None:
    """Where it is said so, and not otherwise."""
    assert jsonschema_rs.is_valid(kind.or_null().schema, None)
    assert jsonschema_rs.is_valid(kind.schema, None) is (kind is ANY)


@pytest.mark.parametrize(("text", "number"), [("1", 1), ("10", 10), ("007", 7)])
def test_a_query_parameter_can_be_a_number(text: str, number: int) -> None:
    """Within its bounds."""
    field = Field("limit", WHOLE.narrowed(minimum=1, maximum=10), "")
    assert field.read_text(text) == number
    for wrong in ("0", "11", "-1", "", "1.0", " 1", "٣", "1" * 5000):
        with pytest.raises(InvalidParams, match="limit must be a whole number from 1 to 10"):
            field.read_text(wrong)
    assert Field("after", TEXT, "").read_text(text) == text
