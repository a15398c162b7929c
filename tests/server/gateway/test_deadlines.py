"""
Every deadline that a peer can miss.
"""

import pytest

from keystay_server.gateway.deadlines import Deadlines, Due, Timings

TIMINGS = Timings(
    handshake_s=10,
    session_s=30,
    ping_interval_s=20,
    ping_timeout_s=15,
    slow_s=5,
    close_s=3,
)
NEVER = Timings(0, 0, 0, 0, 0, 3)


class Peer:
    """A connection and its deadlines, from second 0 on."""

    def __init__(self, timings: Timings = TIMINGS, *, is_open: bool = True) -> None:
        self.deadlines = Deadlines(timings, 0.0)
        if is_open:
            self.deadlines.handshake_complete(0.0)

    def due(
        self, now: float, *, received: bool = False, bound: bool = True, blocked: bool = False
    ) -> Due | None:
        """What is due at this second."""
        return self.deadlines.due(
            now, has_received=received, is_bound=bound, is_blocked=blocked
        )


def test_a_handshake_has_a_deadline() -> None:
    """A request that arrives byte by byte is dropped at the same time."""
    peer = Peer(is_open=False)
    assert peer.due(9.9, received=True, bound=False) is None
    assert peer.due(10, received=True, bound=False) is Due.GIVE_UP


def test_a_finished_handshake_ends_its_deadline() -> None:
    """From then on the other deadlines apply."""
    peer = Peer(is_open=False)
    peer.deadlines.handshake_complete(9.0)
    assert peer.due(12, received=True) is None


def test_a_connection_needs_a_session_in_time() -> None:
    """Counted from the handshake, whatever else it sends meanwhile."""
    peer = Peer()
    assert peer.due(29.9, received=True, bound=False) is None
    assert peer.due(30, received=True, bound=False) is Due.NO_SESSION


def test_one_session_is_enough() -> None:
    """A connection that was bound once may stay open without one, as after a logout."""
    peer = Peer()
    assert peer.due(29, received=True, bound=True) is None
    assert peer.due(100, received=True, bound=False) is None


def test_a_silent_peer_is_pinged_once_and_then_dropped() -> None:
    """A ping after the interval, and no second one; the end after the timeout."""
    peer = Peer()
    assert peer.due(19.9) is None
    assert peer.due(20) is Due.PING
    assert peer.due(30) is None
    assert peer.due(34.9) is None
    assert peer.due(35) is Due.SILENT


def test_any_byte_is_liveness() -> None:
    """Not only a pong: a peer that sends anything is not pinged."""
    peer = Peer()
    assert peer.due(15, received=True) is None
    assert peer.due(34) is None
    assert peer.due(35) is Due.PING
    assert peer.due(36, received=True) is None
    assert peer.due(55.9) is None
    assert peer.due(56) is Due.PING
    assert peer.due(71) is Due.SILENT


def test_a_peer_that_reads_nothing_is_too_slow() -> None:
    """Counted from the first check that found it blocked, whatever it sends itself."""
    peer = Peer()
    assert peer.due(1, blocked=True, received=True) is None
    assert peer.due(5.9, blocked=True, received=True) is None
    assert peer.due(6, blocked=True, received=True) is Due.TOO_SLOW


def test_a_peer_that_reads_something_gets_its_time_anew() -> None:
    """Only an uninterrupted block counts."""
    peer = Peer()
    assert peer.due(1, blocked=True, received=True) is None
    assert peer.due(4, received=True) is None
    assert peer.due(5, blocked=True, received=True) is None
    assert peer.due(9.9, blocked=True, received=True) is None
    assert peer.due(10, blocked=True, received=True) is Due.TOO_SLOW


def test_the_closing_handshake_has_a_deadline() -> None:
    """After a close frame was sent, no other deadline applies."""
    peer = Peer()
    peer.deadlines.closing(100.0)
    assert peer.due(102.9, received=True, bound=False, blocked=True) is None
    assert peer.due(103, received=True) is Due.GIVE_UP


@pytest.mark.parametrize("is_open", [True, False])
def test_0_is_no_limit(*, is_open: bool) -> None:
    """Each deadline can be switched off, except that of the closing handshake."""
    peer = Peer(NEVER, is_open=is_open)
    assert peer.due(1e9, bound=False, blocked=True) is None
    peer.deadlines.closing(1e9)
    assert peer.due(1e9 + 3) is Due.GIVE_UP


def test_a_ping_without_timeout_drops_no_connection() -> None:
    """Pings can serve only to keep proxies from closing the connection."""
    peer = Peer(Timings(ping_interval_s=20, ping_timeout_s=0, session_s=0))
    assert peer.due(20) is Due.PING
    assert peer.due(1e9) is None
