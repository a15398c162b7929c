"""
`delivery/streams.py`: the events of one actor, and who gets them.
"""

from dataclasses import dataclass

import pytest

from keystay_server.delivery import streams
from keystay_server.delivery.streams import ActorStream
from keystay_server.stores.events import Emitted, SessionSet, SessionUnset, StoredEvent
from keystay_server.stores.records import Record


@dataclass(eq=False, slots=True)
class Bound:
    """Somebody who gets the events of a session."""

    name: str
    session_id: str


def said(
    cursor: int, previous: int | None = None, session_id: str | None = None
) -> StoredEvent:
    """An event; the one before it is ten back, unless given."""
    previous = cursor - 10 if previous is None else previous
    return StoredEvent("alice", cursor, previous, Emitted(session_id, "game.move", b"\xc0"))


@pytest.fixture
def stream() -> ActorStream[Bound]:
    """A stream that stands nowhere yet."""
    return ActorStream("alice")


def test_a_stream_is_idle_until_somebody_is_bound_or_being_bound(
    stream: ActorStream[Bound],
) -> None:
    """And again when the last has gone."""
    one, other = Bound("a", "one"), Bound("b", "one")
    assert stream.is_idle
    stream.attach()
    assert not stream.is_idle
    stream.add(one)
    stream.add(other)
    stream.detach()
    stream.remove(one)
    assert not stream.is_idle
    stream.remove(other)
    assert stream.is_idle


def test_an_event_concerns_the_bindings_of_its_session(stream: ActorStream[Bound]) -> None:
    """Of every session, if it is for the actor; of none, if nobody is bound to it."""
    one, other, third = Bound("a", "one"), Bound("b", "one"), Bound("c", "two")
    for binding in (one, other, third):
        stream.add(binding)
    record = Record("one", "alice", b"\x80", "en", None, 0, 1000, None, 1000)
    for change in (
        SessionSet(record),
        SessionUnset("one", "revoked"),
        said(1, 0, "one").change,
    ):
        assert stream.concerned(StoredEvent("alice", 1, 0, change)) == [one, other]
    assert stream.concerned(said(1, 0)) == [one, other, third]
    assert stream.concerned(said(1, 0, "three")) == []
    assert list(stream.bindings()) == [one, other, third]


def test_bindings_may_go_while_they_are_told(stream: ActorStream[Bound]) -> None:
    """The end of a session unbinds those that hear of it."""
    for number in range(4):
        stream.add(Bound(str(number), "one" if number % 2 else "two"))
    seen = 0
    for binding in stream.bindings():
        stream.remove(binding)
        seen += 1
    assert (seen, stream.is_idle) == (4, True)


def test_it_begins_where_the_first_restore_says(stream: ActorStream[Bound]) -> None:
    """A later one, which may be older, does not move it."""
    stream.begin(20)
    stream.begin(10)
    assert stream.newest == 20


def test_an_event_follows_on_the_newest_one(stream: ActorStream[Bound]) -> None:
    """Any does as long as nothing is known; after that only the one that comes next."""
    assert stream.follows(said(70))
    stream.append(said(70))
    assert stream.newest == 70
    assert stream.follows(said(80))
    assert not stream.follows(said(90))
    assert not stream.follows(said(80, 0)), "a history that began anew"


def test_events_are_kept_while_somebody_is_attached(stream: ActorStream[Bound]) -> None:
    """From the moment of the first; a second one does not begin them anew."""
    stream.begin(10)
    stream.append(said(20))
    stream.attach()
    stream.append(said(30))
    stream.attach()
    stream.append(said(40))
    stream.detach()
    assert stream.after(20) == [said(30), said(40)]
    assert stream.after(30) == [said(40)]
    assert stream.after(40) == []
    assert stream.after(10) is None, "what was before the first is not kept"
    stream.detach()
    assert stream.after(40) is None


def test_what_precedes_the_first_event_is_not_known(stream: ActorStream[Bound]) -> None:
    """A stream that stands nowhere takes the first event, and knows the one before it."""
    stream.attach()
    assert stream.after(0) is None
    stream.append(said(50))
    assert stream.after(40) == [said(50)]
    assert stream.after(39) is None


def test_a_stream_that_begins_while_somebody_is_attached(stream: ActorStream[Bound]) -> None:
    """What comes after the restore is kept."""
    stream.attach()
    stream.begin(10)
    stream.append(said(20))
    assert stream.after(10) == [said(20)]
    assert stream.after(9) is None


@pytest.mark.parametrize("most", [2, 3, 4, 5])
def test_few_events_are_kept(
    stream: ActorStream[Bound], monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """The newest; whoever needs older ones is told that they are not there."""
    monkeypatch.setattr(streams, "MAX_RING", most)
    stream.begin(0)
    stream.attach()
    events = [said(cursor) for cursor in range(10, 1010, 10)]
    for number, event in enumerate(events, 1):
        stream.append(event)
        answers = [stream.after(cursor) for cursor in range(0, 10 * number + 1, 10)]
        kept = [answer for answer in answers if answer is not None]
        assert kept == [events[number - n : number] for n in range(len(kept) - 1, -1, -1)]
        assert min(number, most // 2) <= len(kept) - 1 <= most


@pytest.mark.parametrize("to", [10, 50])
def test_a_stream_that_is_moved_keeps_nothing(stream: ActorStream[Bound], to: int) -> None:
    """Back or on: what was kept may not be all there is between here and there."""
    stream.begin(10)
    stream.attach()
    stream.append(said(20))
    stream.append(said(30))
    stream.move_to(to)
    assert stream.newest == to
    assert stream.after(to) == []
    assert stream.after(to - 1) is None
    stream.append(said(to + 10))
    assert stream.after(to) == [said(to + 10)]
