"""
Stands around a store, and sees every call that may have to wait for it.
"""

import inspect
from collections.abc import Awaitable, Callable, Collection
from functools import wraps
from typing import Any, TypeVar, cast

from keystay_protocol.errors import Unavailable
from keystay_server.telemetry.durations import Operations, clock

StoreT = TypeVar("StoreT")
Operation = Callable[..., Awaitable[Any]]

_LIFE = ("start", "stop")


def operations_of(protocol: type) -> list[str]:
    """The names of what can be asked of a store: its coroutines, but its start and stop."""
    methods = inspect.getmembers(protocol, inspect.iscoroutinefunction)
    return [name for name, _ in methods if name not in (*_LIFE, "__init__")]


def around(
    store: StoreT, names: Collection[str], wrap: Callable[[str, Operation], Operation]
) -> StoreT:
    """Return a store that is the same but for these operations, each in its wrapping."""
    return cast("StoreT", _Around(store, names, wrap))


class _Around:
    """What is not an operation, and what a store has of its own, is passed through."""

    def __init__(
        self, store: Any, names: Collection[str], wrap: Callable[[str, Operation], Operation]
    ) -> None:
        self._store = store
        method: Any
        for name, method in inspect.getmembers(store, callable):
            # Its own attribute also where it is as it was: `__getattr__` takes longer.
            if not name.startswith("_"):
                setattr(self, name, wrap(name, method) if name in names else method)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def metered(seen: dict[str, Operations]) -> Callable[[str, Operation], Operation]:
    """A wrapping that counts, for each operation, how long it took and whether it failed."""

    def wrap(name: str, operation: Operation) -> Operation:
        calls = seen.setdefault(name, Operations())

        @wraps(operation)
        async def timed(*args: Any, **kwargs: Any) -> Any:
            started = clock()
            try:
                return await operation(*args, **kwargs)
            except Unavailable:
                calls.errors += 1
                raise
            finally:
                calls.add(clock() - started)

        return timed

    return wrap
