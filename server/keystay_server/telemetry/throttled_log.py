"""
A line in the log about what anybody can make happen as often as they like.
"""

import logging
import math
import time
from collections.abc import Callable

EVERY_S = 60.0

log = logging.getLogger("keystay.control")


class ThrottledLog:
    """
    Logs the first time, and then once a minute at most, with how many times it did not.

    Args:
        clock: Seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._unlogged = 0
        self._quiet_until = -math.inf

    def warn(self, text: str) -> None:
        """Log this, unless a line was logged a short while ago."""
        now = self._clock()
        if now < self._quiet_until:
            self._unlogged += 1
            return
        self._quiet_until = now + EVERY_S
        others = f", and {self._unlogged} more since the line before" if self._unlogged else ""
        log.warning("%s%s", text, others)
        self._unlogged = 0
