"""
What a command takes: the form of a row of the command table.

A handler gets the parameters already checked, in order; one that was left out
is None.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from keystay_protocol.errors import InvalidParams
from keystay_server.gateway.context import Context

Handler = Callable[..., Any]
"""Returns the result, or a coroutine that does."""


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter: its name in SPEC, and the type it must have (None: any)."""

    name: str
    type: type | None
    type_name: str
    optional: bool

    def check(self, value: object) -> None:
        """
        Judge a value that is not of the type.

        Raises:
            InvalidParams: If it will not do.
        """
        if self.type is not None and not (value is None and self.optional):
            raise InvalidParams(f"{self.name} must be {self.type_name}")


def string(name: str) -> Param:
    """A string that must be there."""
    return Param(name, str, "a string", optional=False)


def array(name: str) -> Param:
    """An array that must be there."""
    return Param(name, list, "an array", optional=False)


def mapping(name: str, *, optional: bool) -> Param:
    """A map."""
    return Param(name, dict, "a map", optional)


def anything(name: str, *, optional: bool) -> Param:
    """A value that the handler judges itself."""
    return Param(name, None, "a value", optional)


class Row:
    """
    A row of the command table.

    Args:
        handler: Called as `handler(context, *params)`. Refuses by raising a
            `CommandError`; never touches a socket. Until its first real wait it
            runs outside any task, so it must not ask for the current one.
    """

    __slots__ = ("_types", "handler", "params")

    def __init__(self, handler: Handler, *params: Param) -> None:
        self.handler = handler
        self.params = params
        self._types = [param.type for param in params]

    def call(self, context: Context, values: list[Any]) -> Any:
        """
        Check the parameters; return the handler's result, or its coroutine, not yet started.

        Raises:
            InvalidParams: If there are too many, too few, or one is of the wrong type.
        """
        # One comparison, in C, for the common case: all there, and of exactly their types.
        if [*map(type, values)] != self._types:
            values = self._checked(values)
        return self.handler(context, *values)

    def _checked(self, values: list[Any]) -> list[Any]:
        if len(values) != len(self.params):
            values = self._filled_up(values)
        for param, value in zip(self.params, values, strict=True):
            if type(value) is not param.type:
                param.check(value)
        return values

    def _filled_up(self, values: list[Any]) -> list[Any]:
        missing = len(self.params) - len(values)
        if missing < 0:
            raise InvalidParams(
                f"{len(values)} parameters, at most {len(self.params)} are taken"
            )
        return values + [None] * missing
