"""
The limits on the number of connections: of this node, of one address, of file descriptors.
"""

from collections import Counter
from dataclasses import dataclass
from enum import Enum, auto


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """
    0 stands for no limit.

    `descriptors` is the lowest number of a file descriptor that is not for clients: the system
    gives out the lowest free number, so that those above stay free for the store and backends.
    """

    total: int = 0
    per_address: int = 0
    descriptors: int = 0


class Full(Enum):
    """Which limit is reached."""

    NODE = auto()
    ADDRESS = auto()
    DESCRIPTORS = auto()
    DRAINING = auto()


class ConnectionCounter:
    """Counts the accepted connections, including those in the handshake."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self._limits = limits
        self._by_address: Counter[str] = Counter()
        self._total = 0

    def opened(self, address: str, descriptor: int = 0) -> Full | None:
        """
        Count a connection, or return which limit it would exceed.

        A refused connection is not counted: an address at its limit takes no capacity from
        others.
        """
        if not self.has_descriptor(descriptor):
            return Full.DESCRIPTORS
        if 0 < self._limits.per_address <= self._by_address[address]:
            return Full.ADDRESS
        if 0 < self._limits.total <= self._total:
            return Full.NODE
        self._total += 1
        if self._limits.per_address:
            self._by_address[address] += 1
        return None

    def has_descriptor(self, descriptor: int | None) -> bool:
        """Return whether a file descriptor is for clients; None: there is none left."""
        if descriptor is None:
            return False
        return not 0 < self._limits.descriptors <= descriptor

    def closed(self, address: str) -> None:
        """Remove a connection that was counted."""
        self._total -= 1
        if self._limits.per_address:
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]
