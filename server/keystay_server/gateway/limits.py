"""
How many connections there may be, on this node and from one address.
"""

from collections import Counter
from dataclasses import dataclass
from enum import Enum, auto


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """0 stands for no limit."""

    total: int = 0
    per_address: int = 0


class Full(Enum):
    """Which limit has no room left."""

    NODE = auto()
    ADDRESS = auto()


class ConnectionCounter:
    """Counts the connections that were let in, including those still shaking hands."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self._limits = limits
        self._by_address: Counter[str] = Counter()
        self._total = 0

    def opened(self, address: str) -> Full | None:
        """
        Count a connection, or tell which limit it would pass.

        One that is refused is not counted: an address that has too many takes
        no room from the others.
        """
        if 0 < self._limits.per_address <= self._by_address[address]:
            return Full.ADDRESS
        if 0 < self._limits.total <= self._total:
            return Full.NODE
        self._total += 1
        if self._limits.per_address:
            self._by_address[address] += 1
        return None

    def closed(self, address: str) -> None:
        """Stop to count a connection that was counted."""
        self._total -= 1
        if self._limits.per_address:
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]
