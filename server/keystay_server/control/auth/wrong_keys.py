"""
How many requests with a wrong API key are told so.
"""

import time
from collections import OrderedDict
from collections.abc import Callable

from keystay_server.telemetry.throttled_log import ThrottledLog

PER_ADDRESS_S, ADDRESS_BURST = 10.0, 20
PER_NODE_S, NODE_BURST = 100.0, 200
MOST_ADDRESSES = 1024
RETRY_AFTER_S = 1


class Bucket:
    """Lets a burst through, and after it so many a second."""

    __slots__ = ("_at", "_burst", "_left", "_rate")

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._left = float(burst)
        self._at = now

    def take(self, now: float) -> bool:
        """Tell whether one more may pass."""
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class WrongKeys:
    """
    Counts, for this node and by address, in a constant amount of memory.

    Args:
        clock: Seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._all = Bucket(PER_NODE_S, NODE_BURST, clock())
        self._by_address: OrderedDict[str, Bucket] = OrderedDict()
        self._line = ThrottledLog(clock)

    def __len__(self) -> int:
        """How many addresses are remembered."""
        return len(self._by_address)

    def note(self, address: str) -> bool:
        """Count one from the address; tell whether it is within bounds."""
        now = self._clock()
        self._line.warn(f"wrong API key from {address or '?'}")
        bucket = self._by_address.pop(address, None) or Bucket(
            PER_ADDRESS_S, ADDRESS_BURST, now
        )
        self._by_address[address] = bucket
        if len(self._by_address) > MOST_ADDRESSES:
            self._by_address.popitem(last=False)
        return bucket.take(now) and self._all.take(now)
