"""
Waiting, but not for ever.
"""

import asyncio
from typing import TypeVar

from keystay_server.stores.errors import out_of_reach

T = TypeVar("T")


async def in_time(answer: "asyncio.Future[T]", within_s: float) -> T:
    """
    Wait for an answer that somebody else will give; leave it alone if it is late.

    Not by `asyncio.timeout`, which needs a task: a command's first step runs
    outside of any.

    Raises:
        Unavailable: If it takes too long.
    """
    done, _ = await asyncio.wait([answer], timeout=within_s)
    if not done:
        raise out_of_reach("the store does not answer")
    return answer.result()
