"""
Histograms of durations, as plain numbers.
"""

from bisect import bisect_left
from collections.abc import Sequence
from time import perf_counter

from keystay_protocol.errors import CommandError

BOUNDS_S = (
    *(0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5),
    *(0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
"""The upper bounds of the buckets; one more bucket is for what is above the last."""

clock = perf_counter
"""Seconds, for durations."""


class Durations:
    """
    A histogram of durations.

    `counts` has a number for each of `BOUNDS_S`, and one for what is above them.
    """

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_S) + 1)
        self.seconds = 0.0

    def add(self, seconds: float) -> None:
        """Count a duration."""
        self.counts[bisect_left(BOUNDS_S, seconds)] += 1
        self.seconds += seconds

    @property
    def total(self) -> int:
        """How many were counted."""
        return sum(self.counts)


class Commands(Durations):
    """The commands of one method: their durations, and their errors by code."""

    __slots__ = ("failures",)

    def __init__(self) -> None:
        super().__init__()
        self.failures: dict[str, int] = {}
        """By error code."""

    def failed(self, error: CommandError) -> None:
        """Count an error; its duration is counted by `add`."""
        # That of the class: a backend may end sessions with any number of reasons of its own.
        code = type(error).code
        self.failures[code] = self.failures.get(code, 0) + 1


class Operations(Durations):
    """The calls of one store operation: their durations, and how many were `Unavailable`."""

    __slots__ = ("errors",)

    def __init__(self) -> None:
        super().__init__()
        self.errors = 0


def quantile(counts: Sequence[int], part: float) -> float | None:
    """
    Return the duration in seconds that this part of the durations did not exceed.

    Within a bucket all durations are assumed equally likely. None if nothing was counted.
    """
    rank, passed = part * sum(counts), 0
    for number, count in enumerate(counts):
        if count and passed + count >= rank:
            low = BOUNDS_S[number - 1] if number else 0.0
            high = BOUNDS_S[min(number, len(BOUNDS_S) - 1)]
            return low + (high - low) * max(0.0, rank - passed) / count
        passed += count
    return None
