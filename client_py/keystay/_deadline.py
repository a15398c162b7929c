"""
Deadlines of network operations, for a process that may be suspended.

When a suspended process continues, its timers are overdue, and the data they waited for may be
in the socket, unread. Invariant: data that arrived is read before an overdue timer expires.
"""

import asyncio
from types import TracebackType
from typing import Any

_LATE_S = 0.1
"""A timer that fires this late was held up, by a suspended process or a blocked event loop."""

_GRACE_S = 1.0
"""How long what has arrived is read then, before the timer expires."""


class Deadline:
    """
    `asyncio.timeout_at`, with a grace period after the process was suspended.

    Args:
        at: The time of the event loop; None for no deadline.

    Raises:
        TimeoutError: On leaving the block, if it was interrupted by the deadline.
    """

    def __init__(self, at: float | None) -> None:
        self._at = at
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._timeout = asyncio.timeout(None)

    async def __aenter__(self) -> "Deadline":
        await self._timeout.__aenter__()
        self.move(self._at)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.move(None)
        await self._timeout.__aexit__(exc_type, exc, traceback)

    def move(self, at: float | None) -> None:
        """Replace the deadline."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if at is None else self._loop.call_at(at, self._reached, at)

    def _reached(self, at: float) -> None:
        if self._loop.time() - at < _LATE_S:
            self._expire()
        else:
            self._timer = self._loop.call_later(_GRACE_S, self._expire)

    def _expire(self) -> None:
        self._timeout.reschedule(self._loop.time())


def after(seconds: float) -> Deadline:
    """Return a deadline so many seconds from now."""
    return Deadline(asyncio.get_running_loop().time() + seconds)


async def is_done(future: asyncio.Future[Any], within_s: float) -> bool:
    """Wait for the future, and return whether it was done in time. Does not cancel it."""
    try:
        async with after(within_s):
            await asyncio.wait([future])
    except TimeoutError:
        pass
    return future.done()
