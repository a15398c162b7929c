"""
How many connections there may be, on this node and from one address.
"""

from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """0 stands for no limit."""

    total: int = 0
    per_address: int = 0


class ConnectionCounter:
    """Counts the open connections, including those still shaking hands."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self._limits = limits
        self._by_address: Counter[str] = Counter()
        self._total = 0

    def opened(self, address: str) -> None:
        """Count a connection."""
        self._total += 1
        if self._limits.per_address:
            self._by_address[address] += 1

    def closed(self, address: str) -> None:
        """Stop to count a connection."""
        self._total -= 1
        if self._limits.per_address:
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]

    def is_node_full(self) -> bool:
        """Tell whether there are more connections than this node takes."""
        return 0 < self._limits.total < self._total

    def is_address_full(self, address: str) -> bool:
        """Tell whether there are more connections from the address than it may have."""
        return 0 < self._limits.per_address < self._by_address[address]
