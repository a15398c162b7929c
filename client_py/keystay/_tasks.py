"""
The tasks that run functions of the program, and their owner.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any


class Tasks:
    """Starts tasks, and waits for them or cancels them."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run the coroutine until it is done, or until `finish`."""
        task = asyncio.create_task(work, name="keystay-program")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self, within_s: float) -> None:
        """
        Wait for all tasks, and cancel those that take longer than `within_s`.

        The calling task is not waited for: it may be one of them.
        """
        others = [task for task in self._tasks if task is not asyncio.current_task()]
        if not others:
            return
        _, late = await asyncio.wait(others, timeout=within_s)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
