"""
One at a time for each name, while others of the same name wait.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """What runs under one name runs in the order in which it came."""

    def __init__(self) -> None:
        self._locks: dict[str, asyncio.Lock] = {}
        self._numbers: dict[str, int] = {}

    @asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[None]:
        """Wait until no other has the turn of this name, and have it."""
        lock = self._locks.setdefault(name, asyncio.Lock())
        self._numbers[name] = self._numbers.get(name, 0) + 1
        try:
            async with lock:
                yield
        finally:
            self._numbers[name] -= 1
            if not self._numbers[name]:
                del self._locks[name], self._numbers[name]
