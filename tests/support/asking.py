"""
Asking until it is so, where nobody tells.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

AGAIN_S = 0.02
"""Asking without a pause would take the CPU from those who are waited for."""
SOON_S = 20.0

T = TypeVar("T")


async def until(ask: Callable[[], Awaitable[T]], is_it: Callable[[T], object] = bool) -> T:
    """Ask until this is the answer; return it."""
    async with asyncio.timeout(SOON_S):
        while not is_it(answer := await ask()):  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(AGAIN_S)
    return answer


async def logged(log: Path, text: str) -> str:
    """Wait until a server has written a line with this text; return the whole log."""
    return await until(lambda: asyncio.to_thread(log.read_text), lambda lines: text in lines)
