"""What a backend is told of sessions."""

import pytest

import keystay
from keystay.control.events import read_event
from keystay_protocol.errors import MalformedFrame
from tests.support.client_py.http_peer import SESSION

SET = {"actorId": "alice", "cursor": 7, "at": 9, "session": SESSION}
UNSET = {"actorId": "alice", "cursor": 8, "at": 9, "id": "YQ.1", "reason": "banned"}


def test_a_session_that_was_set() -> None:
    """It is told without its key, with its actor, cursor, time and position."""
    event = read_event("session.set", SET, "p1")
    assert event == keystay.SessionSet(
        "alice", 7, 9, keystay.ControlSession.from_wire(SESSION), position="p1"
    )


def test_a_session_that_ended() -> None:
    """It is told by its id and reason, and by which session took its place, if one did."""
    assert read_event("session.unset", UNSET) == keystay.SessionUnset(
        "alice", 8, 9, "YQ.1", "banned"
    )
    replaced = read_event("session.unset", {**UNSET, "by": {"id": "YQ.2", "createdAt": 5}})
    assert isinstance(replaced, keystay.SessionUnset)
    assert replaced.by == keystay.Successor("YQ.2", 5)


def test_events_that_are_missing() -> None:
    """`FeedLost` stands in their place."""
    assert read_event("feed.lost", {}, "p1") == keystay.FeedLost("p1")


def test_an_event_of_a_later_version_is_passed_over() -> None:
    """What is not known yet stops nobody."""
    assert read_event("session.moved", {"what": "ever"}) is None


@pytest.mark.parametrize("field", SET)
def test_a_set_that_lacks_a_field(field: str) -> None:
    """Half an event is none."""
    with pytest.raises(MalformedFrame):
        read_event("session.set", {**SET, field: None})


@pytest.mark.parametrize("field", UNSET)
def test_an_unset_that_lacks_a_field(field: str) -> None:
    """Half an event is none."""
    with pytest.raises(MalformedFrame):
        read_event("session.unset", {**UNSET, field: None})
