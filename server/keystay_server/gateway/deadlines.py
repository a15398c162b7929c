"""
The deadlines of a connection: every time limit that a peer can miss.

No clock and no I/O: the transport passes in the time and what it observed, and acts on what
is due.
"""

from dataclasses import dataclass
from enum import Enum, auto


@dataclass(frozen=True, slots=True)
class Timings:
    """Time limits of a connection, in seconds; 0 for no limit."""

    handshake_s: float = 10.0
    """For the opening handshake."""
    session_s: float = 30.0
    """Until it is first bound to a session."""
    ping_interval_s: float = 20.0
    """Of silence, before it is pinged."""
    ping_timeout_s: float = 20.0
    """To answer the ping."""
    slow_s: float = 10.0
    """To read what is waiting for it."""
    close_s: float = 3.0
    """To answer the close frame."""


class Due(Enum):
    """What has to be done about a connection."""

    GIVE_UP = auto()
    NO_SESSION = auto()
    TOO_SLOW = auto()
    PING = auto()
    SILENT = auto()


class Deadlines:
    """The deadlines of one connection."""

    __slots__ = (
        "_deadline",
        "_is_pinged",
        "_received_at",
        "_session_by",
        "_slow_since",
        "_timings",
    )

    def __init__(self, timings: Timings, now: float) -> None:
        self._timings = timings
        # Of the opening or the closing handshake.
        self._deadline = _after(now, timings.handshake_s)
        self._session_by: float | None = None
        self._received_at = now
        self._is_pinged = False
        self._slow_since: float | None = None

    def handshake_complete(self, now: float) -> None:
        """Start the deadlines of an open connection."""
        self._deadline = None
        self._received_at = now
        self._session_by = _after(now, self._timings.session_s)

    def closing(self, now: float) -> None:
        """Start the deadline of the closing handshake: a close frame was sent."""
        self._deadline = now + self._timings.close_s

    def due(
        self, now: float, *, has_received: bool, is_bound: bool, is_blocked: bool
    ) -> Due | None:
        """
        Return what has to be done now.

        Args:
            has_received: Whether the peer sent anything since the last call.
            is_bound: Whether the connection was ever bound to a session.
            is_blocked: Whether the socket's send buffer is full.
        """
        if has_received:
            self._received_at = now
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
        return self._liveness(now)

    def _is_slow(self, now: float, *, is_blocked: bool) -> bool:
        if not is_blocked:
            self._slow_since = None
            return False
        if self._slow_since is None:
            self._slow_since = now
        return 0 < self._timings.slow_s <= now - self._slow_since

    def _liveness(self, now: float) -> Due | None:
        interval_s, timeout_s = self._timings.ping_interval_s, self._timings.ping_timeout_s
        silent_s = now - self._received_at
        if not interval_s or silent_s < interval_s:
            return None
        if not self._is_pinged:
            self._is_pinged = True
            return Due.PING
        return Due.SILENT if timeout_s and silent_s >= interval_s + timeout_s else None


def _after(now: float, seconds: float) -> float | None:
    return now + seconds if seconds else None
