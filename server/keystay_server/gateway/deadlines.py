"""
What is due for a connection, and when: every deadline that a peer can miss.

No clock and no I/O: whoever carries the connection says what time it is and
what it has seen, and does what is due.
"""

from dataclasses import dataclass
from enum import Enum, auto


@dataclass(frozen=True, slots=True)
class Timings:
    """How long, in seconds, a connection may take for each thing; 0 for no limit."""

    handshake_s: float = 10.0
    """To shake hands."""
    session_s: float = 30.0
    """To be bound to a session for the first time."""
    ping_interval_s: float = 20.0
    """Without a sign of life, before it is pinged."""
    ping_timeout_s: float = 20.0
    """To answer the ping."""
    slow_s: float = 10.0
    """To take what is waiting for it."""
    close_s: float = 3.0
    """To answer the close frame."""


class Due(Enum):
    """What is to be done about a connection."""

    GIVE_UP = auto()
    NO_SESSION = auto()
    TOO_SLOW = auto()
    PING = auto()
    SILENT = auto()


class Watch:
    """The deadlines of one connection."""

    __slots__ = (
        "_deadline",
        "_heard_at",
        "_is_pinged",
        "_session_by",
        "_slow_since",
        "_timings",
    )

    def __init__(self, timings: Timings, now: float) -> None:
        self._timings = timings
        # While it shakes hands or says goodbye: when it is given up.
        self._deadline = _after(now, timings.handshake_s)
        self._session_by: float | None = None
        self._heard_at = now
        self._is_pinged = False
        self._slow_since: float | None = None

    def opened(self, now: float) -> None:
        """The hands are shaken."""
        self._deadline = None
        self._heard_at = now
        self._session_by = _after(now, self._timings.session_s)

    def closing(self, now: float) -> None:
        """Goodbye was said: what is left is to wait for the other side, not for long."""
        self._deadline = now + self._timings.close_s

    def due(
        self, now: float, *, is_heard: bool, is_bound: bool, is_blocked: bool
    ) -> Due | None:
        """
        Tell what to do now.

        Args:
            is_heard: Whether anything came from the peer since this was last asked.
            is_bound: Whether the connection was ever bound to a session.
            is_blocked: Whether the socket takes nothing more for the peer.
        """
        if is_heard:
            self._heard_at = now
            self._is_pinged = False
        if self._deadline is not None:
            return Due.GIVE_UP if now >= self._deadline else None
        if self._session_by is not None:
            if is_bound:
                self._session_by = None
            elif now >= self._session_by:
                return Due.NO_SESSION
        if self._is_slow(now, is_blocked=is_blocked):
            return Due.TOO_SLOW
        return self._sign_of_life(now)

    def _is_slow(self, now: float, *, is_blocked: bool) -> bool:
        if not is_blocked:
            self._slow_since = None
            return False
        if self._slow_since is None:
            self._slow_since = now
        return 0 < self._timings.slow_s <= now - self._slow_since

    def _sign_of_life(self, now: float) -> Due | None:
        interval_s, timeout_s = self._timings.ping_interval_s, self._timings.ping_timeout_s
        silent_s = now - self._heard_at
        if not interval_s or silent_s < interval_s:
            return None
        if not self._is_pinged:
            self._is_pinged = True
            return Due.PING
        return Due.SILENT if timeout_s and silent_s >= interval_s + timeout_s else None


def _after(now: float, seconds: float) -> float | None:
    return now + seconds if seconds else None
