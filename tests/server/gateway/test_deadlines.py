"""
Every deadline that a peer can miss.
"""

import pytest

from keystay_server.gateway.deadlines import Due, Timings, Watch

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
    """A connection under watch, from second 0 on."""

    def __init__(self, timings: Timings = TIMINGS, *, is_open: bool = True) -> None:
        self.watch = Watch(timings, 0.0)
        if is_open:
            self.watch.opened(0.0)

    def due(
        self, now: float, *, heard: bool = False, bound: bool = True, blocked: bool = False
    ) -> Due | None:
        """What is due at this second."""
        return self.watch.due(now, is_heard=heard, is_bound=bound, is_blocked=blocked)


def test_a_handshake_has_a_deadline() -> None:
    """However much comes of it: a request byte by byte is given up all the same."""
    peer = Peer(is_open=False)
    assert peer.due(9.9, heard=True, bound=False) is None
    assert peer.due(10, heard=True, bound=False) is Due.GIVE_UP


def test_a_finished_handshake_lifts_the_deadline() -> None:
    """From then on the other deadlines count."""
    peer = Peer(is_open=False)
    peer.watch.opened(9.0)
    assert peer.due(12, heard=True) is None


def test_a_connection_needs_a_session_in_time() -> None:
    """Counted from the handshake, whatever else it says meanwhile."""
    peer = Peer()
    assert peer.due(29.9, heard=True, bound=False) is None
    assert peer.due(30, heard=True, bound=False) is Due.NO_SESSION


def test_one_session_is_enough() -> None:
    """A connection that was bound once may stay without, as after a logout."""
    peer = Peer()
    assert peer.due(29, heard=True, bound=True) is None
    assert peer.due(100, heard=True, bound=False) is None


def test_silence_is_asked_about_once_and_then_dropped() -> None:
    """A ping after the interval, and no second one; the end after the timeout."""
    peer = Peer()
    assert peer.due(19.9) is None
    assert peer.due(20) is Due.PING
    assert peer.due(30) is None
    assert peer.due(34.9) is None
    assert peer.due(35) is Due.SILENT


def test_any_byte_is_a_sign_of_life() -> None:
    """Not only the pong: whoever sends is not pinged."""
    peer = Peer()
    assert peer.due(15, heard=True) is None
    assert peer.due(34) is None
    assert peer.due(35) is Due.PING
    assert peer.due(36, heard=True) is None
    assert peer.due(55.9) is None
    assert peer.due(56) is Due.PING
    assert peer.due(71) is Due.SILENT


def test_a_peer_that_takes_nothing_is_too_slow() -> None:
    """Counted from the first look that found it blocked; its own talk is no excuse."""
    peer = Peer()
    assert peer.due(1, blocked=True, heard=True) is None
    assert peer.due(5.9, blocked=True, heard=True) is None
    assert peer.due(6, blocked=True, heard=True) is Due.TOO_SLOW


def test_a_peer_that_takes_something_gets_its_time_anew() -> None:
    """It has to be blocked without a break."""
    peer = Peer()
    assert peer.due(1, blocked=True, heard=True) is None
    assert peer.due(4, heard=True) is None
    assert peer.due(5, blocked=True, heard=True) is None
    assert peer.due(9.9, blocked=True, heard=True) is None
    assert peer.due(10, blocked=True, heard=True) is Due.TOO_SLOW


def test_goodbye_has_a_deadline() -> None:
    """Said once, nothing else is due any more but to be gone in time."""
    peer = Peer()
    peer.watch.closing(100.0)
    assert peer.due(102.9, heard=True, bound=False, blocked=True) is None
    assert peer.due(103, heard=True) is Due.GIVE_UP


@pytest.mark.parametrize("is_open", [True, False])
def test_0_is_no_limit(*, is_open: bool) -> None:
    """Each deadline can be switched off, but for the one of the goodbye."""
    peer = Peer(NEVER, is_open=is_open)
    assert peer.due(1e9, bound=False, blocked=True) is None
    peer.watch.closing(1e9)
    assert peer.due(1e9 + 3) is Due.GIVE_UP


def test_a_ping_without_timeout_drops_nobody() -> None:
    """Pings may be for the proxies on the way only."""
    peer = Peer(Timings(ping_interval_s=20, ping_timeout_s=0, session_s=0))
    assert peer.due(20) is Due.PING
    assert peer.due(1e9) is None
