"""
How late the event loop is: what everybody on this node has to wait for at least.
"""

import asyncio

from keystay_server.telemetry.durations import Durations

LOOK_EVERY_S = 0.1


class LoopLag:
    """Has itself woken at set times, and counts how late that was."""

    def __init__(self, seen: Durations) -> None:
        self._seen = seen
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to look."""
        loop = asyncio.get_running_loop()
        self._due = loop.time() + LOOK_EVERY_S
        self._timer = loop.call_at(self._due, self._look)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._seen.add(max(0.0, asyncio.get_running_loop().time() - self._due))
        self.start()
