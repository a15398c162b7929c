"""
The time of an embedded store: the machine's clock at the start, and what has elapsed since.

Invariant: a step of the machine's clock, by hand or by NTP, neither ends a session nor makes
one live longer. The time that a host is suspended counts.
"""

import logging
import time
from collections.abc import Callable

NOTABLE_MS = 1000
"""NTP corrects less than this without a step."""

log = logging.getLogger("keystay.store")


def unix_ms() -> int:
    """The clock of this machine, in Unix milliseconds."""
    return time.time_ns() // 1_000_000


def elapsed_ms() -> int:
    """Milliseconds since some moment in the past, those of a suspended host included."""
    return _elapsed_ns() // 1_000_000


def _elapsed_ns() -> int:
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return time.monotonic_ns()


class SteadyClock:
    """
    Unix milliseconds that no step of the machine's clock changes.

    Args:
        wall: The machine's clock, in Unix milliseconds.
        elapsed: Milliseconds that only elapsed time adds to.
    """

    def __init__(
        self, wall: Callable[[], int] = unix_ms, elapsed: Callable[[], int] = elapsed_ms
    ) -> None:
        self._wall = wall
        self._elapsed = elapsed
        self._offset_ms = wall() - elapsed()
        self._noticed_ms = 0

    def __call__(self) -> int:
        """The time."""
        return self._elapsed() + self._offset_ms

    async def notice(self) -> None:
        """Log a step of the machine's clock since the last call."""
        apart_ms = self._wall() - self()
        step_ms, self._noticed_ms = apart_ms - self._noticed_ms, apart_ms
        if abs(step_ms) < NOTABLE_MS:
            return
        way = "forward" if step_ms > 0 else "back"
        log.warning(
            "the clock of this machine was set %s by %.1f s; sessions live on by elapsed time, "
            "and times are those of the old clock until the server is started again",
            *(way, abs(step_ms) / 1000),
        )
