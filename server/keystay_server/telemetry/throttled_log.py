"""
Log lines about what anybody can cause at any rate.
"""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

EVERY_S = 60.0


@dataclass(slots=True)
class _Kind:
    unlogged: int = 0
    quiet_until: float = -math.inf


class ThrottledLog:
    """
    Writes one line a minute of each kind, with the number of those that it left out.

    Args:
        logger: Where the lines go.
        clock: Monotonic seconds.
    """

    def __init__(
        self, logger: logging.Logger, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._logger = logger
        self._clock = clock
        self._kinds: dict[str, _Kind] = {}

    def warning(self, text: str, kind: str = "", **fields: Any) -> None:
        """Write a warning, unless one of this kind was written within a minute."""
        self._write(logging.WARNING, text, kind, fields)

    def info(self, text: str, kind: str = "", **fields: Any) -> None:
        """
        Write a line at level INFO, unless one of this kind was written within a minute.

        Args:
            kind: From a bounded set: each is remembered.
            fields: What the line has besides its text.
        """
        self._write(logging.INFO, text, kind, fields)

    def _write(self, level: int, text: str, kind: str, fields: dict[str, Any]) -> None:
        now = self._clock()
        state = self._kinds.setdefault(kind, _Kind())
        if now < state.quiet_until:
            state.unlogged += 1
            return
        state.quiet_until = now + EVERY_S
        more = f", and {state.unlogged} more since the line before" if state.unlogged else ""
        self._logger.log(level, "%s%s", text, more, extra=fields)
        state.unlogged = 0
