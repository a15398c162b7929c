"""
The durations of recent commands: the difference between two readings of the counts.
"""

from collections import deque
from collections.abc import Iterable

from keystay_server.telemetry.durations import Durations, quantile

WINDOW = 10
"""The number of readings that are kept; there is one a second."""


class Recent:
    """The commands of the last ten seconds."""

    def __init__(self) -> None:
        self._past: deque[list[int]] = deque([_sum([Durations()])], maxlen=WINDOW)

    def beat(self, durations: Iterable[Durations]) -> None:
        """Keep a reading; called once a second."""
        self._past.append(_sum(durations))

    def quantile_ms(self, durations: Iterable[Durations], part: float) -> float | None:
        """Return the milliseconds that this part did not exceed; None if there was none."""
        now = _sum(durations)
        counts = [new - old for new, old in zip(now, self._past[0], strict=True)]
        seconds = quantile(counts, part)
        return None if seconds is None else round(seconds * 1000, 3)


def _sum(durations: Iterable[Durations]) -> list[int]:
    return [sum(column) for column in zip(*(each.counts for each in durations), strict=True)]
