"""
Tasks that run as long as their owner does.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from keystay_protocol.errors import Unavailable
from keystay_server.timing.backoff import jittered_s

log = logging.getLogger("keystay.tasks")


class Background:
    """A task and its owner: it is started once, and cancelled and awaited at the end."""

    def __init__(self, run: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        self.name = name
        self._run = run
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the task."""
        self._task = asyncio.create_task(self._run(), name=self.name)

    async def stop(self) -> None:
        """Cancel the task, if it was started, and wait until it is gone."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


class Repeating(Background):
    """
    A task that takes a step, pauses, and begins again.

    A step that raises is taken again after the pause. `Unavailable` is not logged: the
    store logs when it is out of reach, and when it is back.

    Args:
        jitter: Up to this part of each pause is cut off, so that nodes do not act at once.
    """

    def __init__(
        self,
        step: Callable[[], Awaitable[None]],
        name: str,
        *,
        pause_s: float,
        jitter: float = 0.0,
    ) -> None:
        super().__init__(self._repeat, name)
        self._step = step
        self._pause_s = pause_s
        self._jitter = jitter
        self._wakes = asyncio.Event()

    def wake(self) -> None:
        """End the present pause, or leave out the next one."""
        self._wakes.set()

    async def _repeat(self) -> None:
        while True:
            await attempt(self._step, self.name)
            await self._pause()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(jittered_s(self._pause_s, self._jitter)):
                await self._wakes.wait()
        except TimeoutError:
            return
        self._wakes.clear()


async def attempt(step: Callable[[], Awaitable[None]], name: str) -> None:
    """Take a step that will be taken again: log its errors, but not `Unavailable`."""
    try:
        await step()
    except Unavailable:
        pass  # The store logs when it is out of reach, and when it is back.
    except Exception:
        log.exception("%s: failed, is tried again", name)
