"""
How many requests with a wrong API key are told so.
"""

import logging
import math
import time
from collections import OrderedDict
from collections.abc import Callable

PER_ADDRESS_S, ADDRESS_BURST = 10.0, 20
PER_NODE_S, NODE_BURST = 100.0, 200
MOST_ADDRESSES = 1024
RETRY_AFTER_S = 1
LOGGED_EVERY_S = 60.0

log = logging.getLogger("keystay.control")


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
        self._unlogged = 0
        self._quiet_until = -math.inf

    def __len__(self) -> int:
        """How many addresses are remembered."""
        return len(self._by_address)

    def note(self, address: str) -> bool:
        """Count one from the address; tell whether it is within bounds."""
        now = self._clock()
        self._log(address, now)
        bucket = self._by_address.pop(address, None) or Bucket(
            PER_ADDRESS_S, ADDRESS_BURST, now
        )
        self._by_address[address] = bucket
        if len(self._by_address) > MOST_ADDRESSES:
            self._by_address.popitem(last=False)
        return bucket.take(now) and self._all.take(now)

    def _log(self, address: str, now: float) -> None:
        if now < self._quiet_until:
            self._unlogged += 1
            return
        self._quiet_until = now + LOGGED_EVERY_S
        others = f", and {self._unlogged} more since the line before" if self._unlogged else ""
        log.warning("wrong API key from %s%s", address or "?", others)
        self._unlogged = 0
