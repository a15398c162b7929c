"""
When to come back after a connection ended, and whether to (SPEC sections 7 and 8).

No clock and no randomness of its own: waits are returned, dice are passed in.
"""

import math
from collections.abc import Callable

from keystay_protocol.errors import CloseCode

_ONLY_A_FIXED_CLIENT_MAY_RETURN = frozenset(
    {
        CloseCode.PROTOCOL_ERROR,
        CloseCode.UNSUPPORTED_DATA,
        CloseCode.INVALID_DATA,
        CloseCode.MESSAGE_TOO_BIG,
    }
)
_DO_NOT_COME_BACK = range(4500, 5000)

_MAX_DOUBLINGS = 32  # Beyond any sensible cap, and below where a float overflows.


def may_return(close_code: int | None) -> bool:
    """Tell whether a client may reconnect after this close code; None is a line that broke."""
    return (
        close_code not in _ONLY_A_FIXED_CLIENT_MAY_RETURN
        and close_code not in _DO_NOT_COME_BACK
    )


def slot_s(draining: object) -> float | None:
    """Read how many seconds a `server.draining` event asks to wait; None if it does not say."""
    milliseconds = draining.get("reconnectAfter") if isinstance(draining, dict) else None
    if type(milliseconds) is int or (
        type(milliseconds) is float and math.isfinite(milliseconds)
    ):
        return max(0.0, milliseconds / 1000)
    return None


class Backoff:
    """
    Exponential backoff with full jitter.

    Each wait is a random part of a bound that doubles, so that clients which
    lost the same server at the same moment do not return at the same moment.

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
        """Return how long to wait now: a wish of the server comes on top of the jitter."""
        bound_s = min(self._cap_s, self._base_s * 2.0 ** min(self._attempt, _MAX_DOUBLINGS))
        self._attempt += 1
        return at_least_s + bound_s * self._random()

    def held(self, seconds: float) -> None:
        """Start over if a connection held at least as long as the longest wait is."""
        if seconds >= self._cap_s:
            self._attempt = 0
