"""
Counts the operations of a store, and how long each took.
"""

from collections.abc import Callable, Collection, Coroutine
from functools import wraps
from typing import Any, ParamSpec, Protocol, TypeVar

from keystay_protocol.errors import Unavailable
from keystay_server.telemetry.durations import Operations, clock

P = ParamSpec("P")
T = TypeVar("T")
Operation = Callable[P, Coroutine[Any, Any, T]]


class Observe(Protocol):
    """Makes an operation of this name into one that is observed; its types stay the same."""

    def __call__(self, name: str, operation: Operation[P, T], /) -> Operation[P, T]:
        """Return the operation to be called instead."""


class Meter:
    """
    Counts, for each operation, how long it took and whether it found the store out of reach.

    Args:
        operations: What was counted, by name.
        uncounted: The names of operations that are returned as they are.
    """

    def __init__(
        self, operations: dict[str, Operations], uncounted: Collection[str] = ()
    ) -> None:
        self._operations = operations
        self._uncounted = uncounted

    def __call__(self, name: str, operation: Operation[P, T], /) -> Operation[P, T]:
        if name in self._uncounted:
            return operation
        calls = self._operations.setdefault(name, Operations())

        @wraps(operation)
        async def timed(*args: P.args, **kwargs: P.kwargs) -> T:
            started = clock()
            try:
                return await operation(*args, **kwargs)
            except Unavailable:
                calls.errors += 1
                raise
            finally:
                calls.add(clock() - started)

        return timed
