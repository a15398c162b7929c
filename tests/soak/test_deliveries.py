"""
The checker finds what a connection was sent wrongly, and what it was not sent.
"""

import pytest

from tests.soak.record import Event, Moment, Request
from tests.soak.story import ACTOR, STEP_MS, TTL_MS, Story
from tests.soak.violations import Kind


def test_an_event_that_was_missed() -> None:
    """A connection that is bound receives every event of its session, the last one too."""
    story = Story()
    one = story.connect()
    story.log_in(one)
    second, third = story.write("set", "s1"), story.write("set", "s1")
    story.send_set(one, third)
    assert story.kinds("s1") == {Kind.MISSED}
    one.log.insert(-1, Event(Moment(0, 0), "session.set", second, ACTOR, "s1", state="0 en"))
    assert story.kinds("s1") == set()
    story.write("set", "s1")
    assert story.kinds("s1") == {Kind.MISSED}


def test_an_event_that_was_missed_by_a_restore_without_an_answer() -> None:
    """After the session itself nothing is left out, even if the reply never came."""
    story = Story()
    one, other = story.connect(), story.connect()
    first = story.log_in(one)
    story.ask(other, "restore", "s1", after=first)
    story.send_set(other, None)
    cursors = [story.write("set", "s1") for _ in range(3)]
    for cursor in cursors:
        story.send_set(one, cursor)
    story.send_set(other, cursors[0])
    story.send_set(other, cursors[2])
    story.close(other)
    assert story.kinds("s1") == {Kind.MISSED}


def test_an_end_that_the_connection_itself_asked_for_is_not_missed() -> None:
    """The event precedes the reply to a logout."""
    story = Story()
    one = story.connect()
    story.log_in(one)
    story.log_out(one)
    del one.log[-2]
    assert story.kinds() == {Kind.MISSED}


def test_a_set_without_a_cursor_fills_a_gap() -> None:
    """A node that sends the status of a session has missed events that the store still had."""
    story = Story()
    one = story.connect()
    story.log_in(one)
    story.send_set(one, None)
    assert story.kinds("s1") == {Kind.MISSED}


def test_a_restore_sends_the_session_once() -> None:
    """It comes before the reply, without a cursor."""
    for count, expected in ((0, {Kind.MISSED}), (1, set()), (2, {Kind.DOUBLED})):
        story = Story()
        one, other = story.connect(), story.connect()
        story.log_in(one)
        story.restore(other)
        [of_session] = [item for item in other.log if isinstance(item, Event)]
        other.log.remove(of_session)
        other.log[1:1] = [of_session] * count
        assert story.kinds("s1") == expected, count


def test_a_restore_that_others_receive() -> None:
    """A restore is no event: it has no place in the history, and no one else is sent it."""
    story = Story()
    one, other = story.connect(), story.connect()
    story.log_in(one)
    story.send_set(one, story.restore(other))
    assert story.kinds("s1") == {Kind.DOUBLED}
    one.log.pop()
    story.send_set(one, None)
    assert story.kinds("s1") == {Kind.MISSED}


def test_an_end_without_a_cursor() -> None:
    """A node may send it of a session that is overdue; any other end has its place."""
    for reason, expected in (("expired", set()), ("ban1", {Kind.MISSED})):
        story = Story()
        one, _ = story.connect(0), story.connect(1)
        story.log_in(one, ttl_ms=STEP_MS)
        story.stop(0, TTL_MS)
        story.now(TTL_MS)
        story.end("s1", reason)
        story.send_unset(one, None, reason)
        assert story.kinds() == expected, reason


def test_an_event_that_was_doubled() -> None:
    """No connection is sent an event twice, or one that the client had before it came."""
    story = Story()
    one = story.connect()
    first = story.log_in(one)
    story.send_set(one, first)
    assert story.kinds("s1") == {Kind.DOUBLED}


def test_an_event_out_of_order() -> None:
    """Events come in the order of their cursors."""
    story = Story()
    one = story.connect()
    story.log_in(one)
    second, third = story.write("set", "s1"), story.write("set", "s1")
    story.send_set(one, third)
    story.send_set(one, second)
    assert story.kinds("s1") == {Kind.OUT_OF_ORDER}


def test_an_old_event_after_another_binding() -> None:
    """What a connection was sent under one session is not followed by what is older."""
    story = Story()
    one, other = story.connect(), story.connect()
    story.log_in(one)
    first = story.log_in(other, "s2")
    old = story.write("set", "s2")
    story.send_set(other, old, "s2")
    newer = story.write("set", "s1")
    story.send_set(one, newer)
    story.restore(one, first, old, id_="s2")
    assert story.kinds("s1", "s2") == {Kind.OUT_OF_ORDER}


def test_a_replay_after_the_reply() -> None:
    """What was missed is sent before the reply to the restore."""
    story = Story()
    one, back = story.connect(), story.connect()
    first = story.log_in(one)
    second = story.write("set", "s1")
    story.send_set(one, second)
    story.restore(back, first)
    story.send_set(back, second)
    assert story.kinds("s1") == {Kind.OUT_OF_ORDER}


def test_an_event_that_the_history_does_not_have() -> None:
    """Whatever has a cursor is in the history."""
    story = Story()
    one = story.connect()
    cursor = story.log_in(one)
    story.send_set(one, cursor + 1)
    assert story.kinds("s1") == {Kind.FOREIGN}


def test_an_event_of_another_session() -> None:
    """A connection receives the events of the session that it is bound to, and no others."""
    story = Story()
    one, other = story.connect(), story.connect()
    story.log_in(one)
    foreign = story.log_in(other, "s2")
    story.send_set(one, foreign, "s2")
    assert story.kinds("s1", "s2") == {Kind.FOREIGN}


def test_an_event_for_an_unbound_connection() -> None:
    """A restore that was refused binds to nothing."""
    for cursor in (0, None):
        story = Story()
        one, other = story.connect(), story.connect()
        first = story.log_in(other)
        command = story.ask(one, "restore", "s1")
        story.send_set(one, first if cursor == 0 else None)
        story.answer(one, command, error="unavailable")
        assert story.kinds("s1") == {Kind.FOREIGN}


def test_a_connection_that_moves_to_another_session() -> None:
    """It is sent the events of the old one up to the position of the new one, and no later."""
    story = Story()
    one = story.connect()
    story.log_in(one)
    command = story.ask(one, "login")
    last = story.write("set", "s1")
    cursor = story.write("set", "s2")
    story.send_set(one, cursor, "s2")
    story.answer(one, command, session_id="s2", cursor=cursor, state="0 en")
    assert story.kinds("s1", "s2") == {Kind.MISSED}
    one.log.insert(-2, Event(Moment(0, 0), "session.set", last, ACTOR, "s1", state="0 en"))
    assert story.kinds("s1", "s2") == set()
    later = story.write("set", "s1")
    assert story.kinds("s1", "s2") == set()
    story.send_set(one, later)
    assert story.kinds("s1", "s2") == {Kind.FOREIGN}


def test_a_connection_that_moves_to_another_actor_and_back() -> None:
    """The cursors of different actors have nothing to do with each other."""
    story = Story()
    one = story.connect()
    first = story.log_in(one)
    story.log_in(one, "s2", actor_id="player:8")
    missed = story.write("set", "s1")
    story.restore(one, first, missed)
    assert story.kinds("s1", "s2") == set()
    del one.log[-3]
    assert story.kinds("s1", "s2") == {Kind.HOLE}


def test_an_event_of_the_actor_that_the_connection_has_left() -> None:
    """Once the connection is bound to another actor's session, nothing more comes."""
    story = Story()
    one = story.connect(hears_app=True)
    story.log_in(one)
    story.log_in(one, "s2", actor_id="player:8")
    cursor = story.write("app")
    story.request("emitAll", 201, number=3, cursor=cursor)
    story.send_app(one, cursor, 3)
    assert story.kinds("s1", "s2") == {Kind.FOREIGN}


def test_events_of_the_application() -> None:
    """Those to the session and to the actor are sent to whoever subscribed, and to no other."""
    for is_received in (True, False):
        for target in ("s1", ""):
            story = Story()
            one, deaf = story.connect(hears_app=True), story.connect()
            story.log_in(one)
            story.restore(deaf)
            cursor = story.write("app")
            story.request("emit", 201, session_id=target, number=3, cursor=cursor)
            if is_received:
                story.send_app(one, cursor, 3)
            assert story.kinds("s1") == (set() if is_received else {Kind.MISSED})
            story.send_app(deaf, cursor, 3)
            assert Kind.FOREIGN in story.kinds("s1")


def test_an_event_of_the_application_for_another_session() -> None:
    """It is not for this one."""
    story = Story()
    one, other = story.connect(hears_app=True), story.connect(hears_app=True)
    story.log_in(one)
    story.log_in(other, "s2")
    cursor = story.write("app")
    story.request("emit", 201, session_id="s2", number=3, cursor=cursor)
    story.send_app(other, cursor, 3)
    assert story.kinds("s1", "s2") == set()
    story.send_app(one, cursor, 3)
    assert story.kinds("s1", "s2") == {Kind.FOREIGN}


def test_an_event_with_the_cursor_of_another() -> None:
    """An event comes with the cursor that the backend was answered."""
    story = Story()
    one = story.connect(hears_app=True)
    story.log_in(one)
    for number in (3, 4):
        cursor = story.write("app")
        story.request("emit", 201, session_id="s1", number=number, cursor=cursor)
        story.send_app(one, cursor, 3)
    assert story.kinds("s1") == {Kind.FOREIGN}


def test_an_event_without_an_answer_is_known_from_who_received_it() -> None:
    """If one connection received it, the others of its session must have, too."""
    story = Story()
    one, other = story.connect(hears_app=True), story.connect(hears_app=True)
    story.log_in(one)
    story.restore(other)
    cursor = story.write("app")
    story.record.requests.append(Request("emit", ACTOR, story.now(), "s1", number=3))
    assert story.kinds("s1") == set()
    story.send_app(one, cursor, 3)
    assert story.kinds("s1") == {Kind.MISSED}


@pytest.mark.parametrize("is_sent_again", [True, False])
def test_an_event_to_the_actor_that_the_connection_had_before_it_moved(
    is_sent_again: bool,
) -> None:
    """It comes once, whichever of the sessions the connection is bound to."""
    story = Story()
    one, other = story.connect(hears_app=True), story.connect()
    story.log_in(other, "s2")
    first = story.log_in(one)
    cursor = story.write("app")
    story.request("emitAll", 201, number=3, cursor=cursor)
    story.send_app(one, cursor, 3)
    command = story.ask(one, "restore", "s2", after=first)
    if is_sent_again:
        story.send_app(one, cursor, 3)
    story.send_set(one, None, "s2")
    story.answer(
        one, command, session_id="s2", cursor=cursor, recovered=is_sent_again, state="0 en"
    )
    assert story.kinds("s1", "s2") == ({Kind.DOUBLED} if is_sent_again else set())


def test_an_end_of_a_session_that_lives_on() -> None:
    """A node says that a session is over only if it is."""
    story = Story()
    one = story.connect()
    story.log_in(one)
    story.send_unset(one, None, "expired")
    assert story.kinds("s1") == {Kind.NOBODY_ENDED}
