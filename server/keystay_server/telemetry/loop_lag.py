"""
Measures how late the event loop is: each command waits at least so long.
"""

import asyncio

from keystay_server.telemetry.durations import Durations

LOOK_EVERY_S = 0.1


class LoopLag:
    """Sets timers, and counts how late each of them was called."""

    def __init__(self, seen: Durations) -> None:
        self._seen = seen
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Start."""
        loop = asyncio.get_running_loop()
        self._due = loop.time() + LOOK_EVERY_S
        self._timer = loop.call_at(self._due, self._look)

    def stop(self) -> None:
        """Stop."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._seen.add(max(0.0, asyncio.get_running_loop().time() - self._due))
        self.start()
