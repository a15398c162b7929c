"""
Whether to reconnect after a connection ended, and when (SPEC sections 7 and 8).

Has no clock and no randomness of its own: delays are returned, `random` is passed in.
"""

import math
from collections.abc import Callable

from keystay_protocol.errors import CloseCode

_CLIENT_ERRORS = frozenset(
    {
        CloseCode.PROTOCOL_ERROR,
        CloseCode.UNSUPPORTED_DATA,
        CloseCode.INVALID_DATA,
        CloseCode.MESSAGE_TOO_BIG,
    }
)
_FINAL = range(4500, 5000)

_MAX_DOUBLINGS = 32  # More than any cap needs, fewer than overflow a float.


def may_reconnect(close_code: int | None) -> bool:
    """Return whether to reconnect after this close code; None is a connection that broke."""
    return close_code not in _CLIENT_ERRORS and close_code not in _FINAL


def reconnect_after_s(draining: object) -> float | None:
    """Return the delay in the data of `server.draining`, in seconds; None without one."""
    milliseconds = draining.get("reconnectAfter") if isinstance(draining, dict) else None
    if type(milliseconds) is int or (
        type(milliseconds) is float and math.isfinite(milliseconds)
    ):
        return max(0.0, milliseconds / 1000)
    return None


class Backoff:
    """
    Exponential backoff with full jitter.

    Each delay is a random part of a bound that doubles, so that clients that lost the
    same server at the same moment do not reconnect at the same moment.

    Args:
        base_s: The first bound.
        cap_s: The largest bound.
        random: Returns a float in [0, 1).
    """

    def __init__(self, base_s: float, cap_s: float, random: Callable[[], float]) -> None:
        self._base_s = base_s
        self._cap_s = cap_s
        self._random = random
        self._attempt = 0

    def next_s(self, *, at_least_s: float = 0.0) -> float:
        """Return the next delay: `at_least_s`, which the server asked for, plus the jitter."""
        bound_s = min(self._cap_s, self._base_s * 2.0 ** min(self._attempt, _MAX_DOUBLINGS))
        self._attempt += 1
        return at_least_s + bound_s * self._random()

    def connection_lasted(self, seconds: float) -> None:
        """Reset if a connection lasted at least as long as the longest delay."""
        if seconds >= self._cap_s:
            self._attempt = 0
