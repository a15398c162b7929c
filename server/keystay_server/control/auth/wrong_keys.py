"""
Limits the responses to wrong API keys, by address and node.
"""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from http import HTTPStatus

from keystay_server.control.http.problems import Problem
from keystay_server.telemetry.throttled_log import ThrottledLog

log = logging.getLogger("keystay.control")

PER_ADDRESS_S, ADDRESS_BURST = 10.0, 20
PER_NODE_S, NODE_BURST = 100.0, 200
MAX_ADDRESSES = 1024
RETRY_AFTER_S = 1


class Bucket:
    """A token bucket."""

    __slots__ = ("_at", "_burst", "_left", "_rate")

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._left = float(burst)
        self._at = now

    def take(self, now: float) -> bool:
        """Take a token; tell whether there was one."""
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class WrongKeys:
    """
    Counts wrong keys on this node and by address, in constant memory.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._all = Bucket(PER_NODE_S, NODE_BURST, clock())
        self._by_address: OrderedDict[str, Bucket] = OrderedDict()
        self._log = ThrottledLog(log, clock)

    def __len__(self) -> int:
        """The number of addresses that are kept."""
        return len(self._by_address)

    def record(self, address: str) -> bool:
        """Count one; tell whether it is within the limits."""
        now = self._clock()
        self._log.warning(f"wrong API key from {address or '?'}")
        bucket = self._by_address.pop(address, None) or Bucket(
            PER_ADDRESS_S, ADDRESS_BURST, now
        )
        self._by_address[address] = bucket
        if len(self._by_address) > MAX_ADDRESSES:
            self._by_address.popitem(last=False)
        return bucket.take(now) and self._all.take(now)


def too_many_wrong_keys() -> Problem:
    """Return the answer beyond the limits."""
    return Problem(
        HTTPStatus.TOO_MANY_REQUESTS,
        "too many requests with a wrong API key",
        {"Retry-After": str(RETRY_AFTER_S)},
        code="rateLimited",
        retryAfter=RETRY_AFTER_S,
    )
