"""
What a command takes, checked before its handler runs.
"""

from typing import Any

import pytest

from keystay_protocol.commands import CommandName
from keystay_protocol.errors import InvalidParams
from keystay_server.gateway.commands import COMMANDS
from keystay_server.gateway.commands.signature import Row, anything, array, mapping, string
from tests.support.server.memory_node import MemoryNode


async def handler(_: Any, *values: Any) -> tuple[Any, ...]:
    """Answer what was given."""
    return values


ROW = Row(handler, string("name"), array("items"), mapping("options", optional=True))


def test_the_table_is_complete() -> None:
    """Every command of the protocol has a row, and every row is a command of the protocol."""
    assert set(COMMANDS) == set(CommandName)


@pytest.mark.parametrize(
    ("values", "given"),
    [
        (["a", [1], {"b": 2}], ("a", [1], {"b": 2})),
        (["a", [1], None], ("a", [1], None)),
        (["a", []], ("a", [], None)),
    ],
)
async def test_what_may_be_left_out_may_be_nil(
    node: MemoryNode, values: list[Any], given: tuple[Any, ...]
) -> None:
    """An optional param that is missing is the same as nil."""
    context: Any = None
    assert await ROW.call(context, values) == given


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "name must be a string"),
        (["a"], "items must be an array"),
        ([None, []], "name must be a string"),
        ([b"a", []], "name must be a string"),
        (["a", "items"], "items must be an array"),
        (["a", {}], "items must be an array"),
        (["a", [], []], "options must be a map"),
        (["a", [], True], "options must be a map"),
        (["a", [], {}, None], "4 parameters, at most 3 are taken"),
    ],
)
def test_what_is_wrong_is_named(values: list[Any], message: str) -> None:
    """The message says which param, and what it must be; nothing has run by then."""
    context: Any = None
    with pytest.raises(InvalidParams) as refusal:
        ROW.call(context, values)
    assert refusal.value.message == message


@pytest.mark.parametrize("value", [None, True, 1, "a", b"a", [], {}])
async def test_anything_is_anything(value: Any) -> None:
    """A param without a type is the handler's to judge."""
    context: Any = None
    assert await Row(handler, anything("value", optional=True)).call(context, [value]) == (
        value,
    )
