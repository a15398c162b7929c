"""
The checker finds restores and logins that returned something wrong.
"""

from tests.soak.record import Event, Moment
from tests.soak.story import ACTOR, Story, with_
from tests.soak.violations import Kind


def test_a_recovery_with_a_hole() -> None:
    """`recovered: true` says that everything since the cursor was replayed."""
    story = Story()
    one, back = story.connect(), story.connect()
    first = story.log_in(one)
    second, third = story.write("set", "s1"), story.write("set", "s1")
    for cursor in (second, third):
        story.send_set(one, cursor)
    story.restore(back, first, third)
    assert story.kinds("s1") == {Kind.HOLE}
    back.log.insert(1, Event(Moment(0, 0), "session.set", second, ACTOR, "s1", state="0 en"))
    assert story.kinds("s1") == set()


def test_a_recovery_without_a_cursor() -> None:
    """Who brings no cursor is never recovered."""
    story = Story()
    one = story.connect()
    story.log_in(one)
    story.restore(one, recovered=True)
    assert story.kinds("s1") == {Kind.HOLE}


def test_a_recovery_that_was_refused_without_need() -> None:
    """`recovered: false` says that the history does not reach back to the cursor."""
    story = Story()
    one, back = story.connect(), story.connect()
    first = story.log_in(one)
    story.close(one)
    story.restore(back, first, recovered=False)
    assert story.kinds("s1") == {Kind.NOT_RECOVERED}
    story.record.history_events = 1
    assert story.kinds("s1") == set()


def test_a_recovery_out_of_order_is_refused() -> None:
    """What is older than something that the connection was sent is not replayed."""
    story = Story()
    one, other = story.connect(), story.connect()
    story.log_in(one)
    first = story.log_in(other, "s2")
    story.send_set(other, story.write("set", "s2"), "s2")
    story.send_set(one, story.write("set", "s1"))
    story.restore(one, first, id_="s2", recovered=False)
    assert story.kinds("s1", "s2") == set()


def test_a_position_that_is_wrong() -> None:
    """A restore returns the newest cursor of the actor, a login that of the new session."""
    story = Story()
    one, other = story.connect(), story.connect()
    first = story.log_in(one)
    story.send_set(one, story.write("set", "s1"))
    story.restore(other)
    reply = other.log.pop()
    other.log.append(with_(reply, cursor=first))
    assert story.kinds("s1") == {Kind.WRONG_STATE, Kind.MISSED}
    other.log[-1] = with_(reply, cursor=first + 1)
    assert Kind.LOST in story.kinds("s1")


def test_a_session_that_is_not_as_it_was_changed() -> None:
    """Events, restores and logins show meta and language as they were at that position."""
    story = Story()
    one, other = story.connect(), story.connect()
    story.log_in(one)
    story.send_set(one, story.write("set", "s1", state="4 de"), state="4 de")
    story.restore(other, state="4 de")
    assert story.kinds("s1") == set()
    story.restore(other, state="0 en")
    assert story.kinds("s1") == {Kind.WRONG_STATE}
    del other.log[-3:]
    one.log[-1] = with_(one.log[-1], state="0 en")
    assert story.kinds("s1") == {Kind.WRONG_STATE}


def test_a_restore_that_sends_another_session_than_it_answers() -> None:
    """The event and the reply show one and the same."""
    story = Story()
    one, other = story.connect(), story.connect()
    story.log_in(one)
    story.restore(other)
    other.log[-2] = with_(other.log[-2], state="4 de")
    assert story.kinds("s1") == {Kind.WRONG_STATE}


def test_a_position_of_a_login_that_is_not_its_own() -> None:
    """A login returns the cursor of the event that it caused."""
    story = Story()
    one = story.connect()
    command = story.ask(one, "login")
    cursor = story.write("set", "s1")
    story.send_set(one, cursor)
    later = story.write("set", "s1")
    story.send_set(one, later)
    story.answer(one, command, session_id="s1", cursor=later, state="0 en")
    assert story.kinds("s1") == {Kind.WRONG_STATE}
