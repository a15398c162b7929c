"""
The same thing for many: a bounded number at once, whatever becomes of each.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from keystay_protocol.errors import Unavailable

X = TypeVar("X")
Y = TypeVar("Y")

AT_ONCE = 64
"""So few that commands which come in meanwhile wait a few milliseconds."""


async def each(do: Callable[[X], Awaitable[Y]], items: Sequence[X]) -> list[Y | Unavailable]:
    """Do it to each, and return the answers; an `Unavailable` is one of them, not raised."""

    async def attempt(item: X) -> Y | Unavailable:
        try:
            return await do(item)
        except Unavailable as error:
            return error

    answers: list[Y | Unavailable] = []
    for start in range(0, len(items), AT_ONCE):
        answers += await asyncio.gather(*map(attempt, items[start : start + AT_ONCE]))
    return answers
