"""
The way out to one client, bounded.
"""

from keystay_server.delivery.outbox import HELD_BYTES
from tests.support.server.wire import Wire, outbox_of


def test_what_is_sent_is_written_at_once() -> None:
    """Nothing is kept back, and the order stays."""
    wire = Wire()
    outbox = outbox_of(wire)
    outbox.send(b"first")
    outbox.send(b"second")
    assert wire.written == [b"first", b"second"]


def test_a_client_within_the_bound_is_left_alone() -> None:
    """Slow is not too slow: up to the bound it is waited for, by nobody else."""
    wire = Wire()
    wire.is_stuck = True
    outbox = outbox_of(wire, max_bytes=100)
    for _ in range(10):
        outbox.send(b"x" * 10)
    assert not wire.cut_off


def test_a_client_past_the_bound_is_cut_off() -> None:
    """One byte more than the bound is too slow."""
    wire = Wire()
    wire.is_stuck = True
    outbox = outbox_of(wire, max_bytes=100)
    outbox.send(b"x" * 101)
    assert wire.cut_off


def test_a_large_message_to_a_quick_client_is_no_trouble() -> None:
    """What counts is what the client leaves untaken, not what it is sent."""
    wire = Wire()
    outbox = outbox_of(wire, max_bytes=100)
    outbox.send(b"x" * 10_000)
    assert not wire.cut_off


def test_after_the_close_frame_nothing_is_sent() -> None:
    """A client that was sent a close frame, or is gone, is sent nothing more."""
    wire = Wire()
    outbox = outbox_of(wire)
    outbox.shut = True
    outbox.send(b"late")
    assert wire.written == []


def test_what_is_held_is_written_together() -> None:
    """In the order in which it was sent; then everything is written at once again."""
    wire = Wire()
    outbox = outbox_of(wire)
    outbox.hold()
    outbox.send(b"first")
    outbox.send(b"second")
    assert wire.written == []
    outbox.release()
    outbox.send(b"third")
    assert wire.written == [b"firstsecond", b"third"]


def test_not_more_is_held_than_a_bound() -> None:
    """However many replies one read brings."""
    wire = Wire()
    outbox = outbox_of(wire)
    outbox.hold()
    for _ in range(10):
        outbox.send(b"x" * 5000)
    assert max(map(len, wire.written)) < HELD_BYTES + 5000
    outbox.release()
    assert sum(map(len, wire.written)) == 50_000


def test_nothing_that_is_held_is_written_after_the_end() -> None:
    """The close frame was the last one."""
    wire = Wire()
    outbox = outbox_of(wire)
    outbox.hold()
    outbox.send(b"late")
    outbox.shut = True
    outbox.release()
    assert wire.written == []
