"""
The checker finds each kind of broken promise in a record, and nothing in a good one.
"""

from tests.soak.record import Entry, Heard, Moment, Request
from tests.soak.story import ACTOR, SHORT_TTL_MS, STEP_MS, TTL_MS, Story
from tests.soak.violations import Kind


def test_a_good_record_passes() -> None:
    """Nothing is found where two connections heard all, one of them after it was away."""
    story = Story()
    stayed, left, back = story.connect(), story.connect(), story.connect()
    first = story.log_in(stayed)
    second = story.restore(left, first)
    story.tell_set(stayed, second)
    story.close(left)
    missed = story.restore(stayed, None, recovered=False)
    third = story.restore(back, second, missed)
    story.tell_set(stayed, third)
    last = story.log_out(back)
    story.tell_unset(stayed, last, "loggedOut")
    asked = story.ask(back, "isValid", "s1")
    story.answer(back, asked, error="loggedOut")
    assert story.kinds() == set()


def test_commands_without_an_answer_may_have_happened_or_not() -> None:
    """A restore and a logout whose replies never came are good either way."""
    for happened in (True, False):
        story = Story()
        one, other = story.connect(), story.connect()
        first = story.log_in(one)
        story.close(one)
        story.ask(other, "restore", "s1", after=first)
        if happened:
            story.tell_set(other, story.write("set", "s1"))
        story.ask(other, "logout", "s1", scope="this")
        if happened:
            story.write("unset", "s1", "loggedOut")
        story.close(other)
        assert story.kinds(*(() if happened else ("s1",))) == set()


def test_an_event_that_was_missed() -> None:
    """A connection that is bound hears every event of its session, the last one too."""
    story = Story()
    one, other = story.connect(), story.connect()
    first = story.log_in(one)
    second = story.restore(other, first)
    third = story.restore(other, None, recovered=False)
    story.tell_set(one, third)
    assert story.kinds("s1") == {Kind.MISSED}
    one.log.insert(-1, Heard(Moment(0, 0), "session.set", second, "s1"))
    assert story.kinds("s1") == set()
    story.restore(other, None, recovered=False)
    assert story.kinds("s1") == {Kind.MISSED}


def test_an_end_that_the_connection_itself_asked_for_is_not_missed() -> None:
    """The event precedes the reply to a logout."""
    story = Story()
    one = story.connect()
    story.log_in(one)
    story.log_out(one)
    del one.log[-2]
    assert story.kinds() == {Kind.MISSED}


def test_a_set_without_a_cursor() -> None:
    """A node that says how a session stands has missed events that the store still had."""
    story = Story()
    one = story.connect()
    story.log_in(one)
    story.tell_set(one, None)
    assert story.kinds("s1") == {Kind.MISSED}


def test_an_event_that_was_doubled() -> None:
    """No connection is sent an event twice, or one that the client had before it came."""
    story = Story()
    one = story.connect()
    first = story.log_in(one)
    story.tell_set(one, first)
    assert story.kinds("s1") == {Kind.DOUBLED}
    story = Story()
    one, other = story.connect(), story.connect()
    first = story.log_in(one)
    story.close(one)
    story.restore(other, first, first)
    assert story.kinds("s1") == {Kind.DOUBLED}


def test_an_event_out_of_order() -> None:
    """Events come in the order of their cursors."""
    story = Story()
    one, other = story.connect(), story.connect()
    first = story.log_in(one)
    second = story.restore(other, first)
    third = story.restore(other, None, recovered=False)
    story.tell_set(one, third)
    story.tell_set(one, second)
    assert story.kinds("s1") == {Kind.OUT_OF_ORDER}


def test_a_break_in_the_history() -> None:
    """Each entry of the history names the one before it."""
    story = Story()
    one = story.connect()
    story.log_in(one)
    entry = story.record.history[ACTOR][0]
    story.record.history[ACTOR][0] = Entry(entry.cursor, 1, "set", "s1", ttl_ms=TTL_MS)
    assert story.kinds("s1") == {Kind.OUT_OF_ORDER}


def test_an_event_of_another_session() -> None:
    """A connection hears of the session that it is bound to, and of no other."""
    story = Story()
    one, other = story.connect(), story.connect()
    story.log_in(one)
    foreign = story.log_in(other, "s2")
    story.tell_set(one, foreign, "s2")
    assert story.kinds("s1", "s2") == {Kind.NOT_ITS_OWN}
    story = Story()
    one, other = story.connect(), story.connect()
    story.tell_set(one, story.log_in(other))
    assert story.kinds("s1") == {Kind.NOT_ITS_OWN}


def test_a_connection_that_moves_to_another_session() -> None:
    """It leaves the old one with the reply: what happens to that then is not for it."""
    story = Story()
    one, other = story.connect(), story.connect()
    first = story.log_in(one)
    story.log_in(one, "s2")
    later = story.restore(other, first)
    assert story.kinds("s1", "s2") == set()
    story.tell_set(one, later)
    assert story.kinds("s1", "s2") == {Kind.NOT_ITS_OWN}


def test_a_recovery_with_a_hole() -> None:
    """`recovered: true` says that everything since the cursor was replayed."""
    story = Story()
    one, other, back = story.connect(), story.connect(), story.connect()
    first = story.log_in(one)
    story.close(one)
    second = story.restore(other, first)
    story.tell_set(other, story.restore(back, first))
    assert story.kinds("s1") == {Kind.HOLE}
    back.log.insert(1, Heard(Moment(0, 0), "session.set", second, "s1"))
    assert story.kinds("s1") == set()


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


def test_an_ended_session_that_is_still_alive() -> None:
    """After its end no key opens a session, no list has it, and nothing changes it."""
    story = Story()
    one = story.connect()
    story.log_in(one)
    story.log_out(one)
    assert story.kinds("s1") == {Kind.STILL_ALIVE}
    asked = story.ask(one, "isValid", "s1")
    story.answer(one, asked)
    assert story.kinds() == {Kind.STILL_ALIVE}
    one.log.pop()
    story.write("set", "s1")
    assert story.kinds() == {Kind.STILL_ALIVE}


def test_a_session_that_should_have_expired() -> None:
    """A session that nobody holds ends when its time is over."""
    story = Story()
    one = story.connect()
    story.log_in(one, ttl_ms=SHORT_TTL_MS)
    story.now(60_000)
    assert story.kinds("s1") == set()
    one.closed = Moment(0, story.ms)
    story.now(60_000)
    assert story.kinds("s1") == {Kind.STILL_ALIVE}


def test_a_session_that_nobody_ended() -> None:
    """A session ends because somebody asked for that, or because its time is over."""
    for reason in ("loggedOut", "banned", "expired"):
        story = Story()
        one = story.connect()
        story.log_in(one)
        story.tell_unset(one, story.write("unset", "s1", reason), reason)
        assert story.kinds() == {Kind.NOBODY_ENDED}, reason
    story = Story()
    story.log_in(story.connect())
    assert story.kinds() == {Kind.NOBODY_ENDED}


def test_a_session_that_expired_while_it_was_held() -> None:
    """A bound connection keeps its session alive."""
    story = Story()
    one = story.connect()
    story.log_in(one, ttl_ms=SHORT_TTL_MS)
    left = story.now(STEP_MS)
    story.now(SHORT_TTL_MS)
    end = story.write("unset", "s1", "expired")
    one.closed = left
    assert story.kinds() == set()
    one.closed = None
    story.tell_unset(one, end, "expired")
    assert story.kinds() == {Kind.NOBODY_ENDED}


def test_a_refusal_of_a_live_session() -> None:
    """A live session's key is not refused."""
    story = Story()
    one = story.connect()
    story.log_in(one)
    story.answer(one, story.ask(one, "isValid", "s1"), error="expired")
    assert story.kinds("s1") == {Kind.NOBODY_ENDED}


def test_an_answered_login_that_is_lost() -> None:
    """What was opened is in the history, and its key is known."""
    story = Story()
    one = story.connect()
    story.log_in(one)
    story.answer(one, story.ask(one, "isValid", "s1"), error="noSession")
    assert story.kinds("s1") == {Kind.LOST}
    story = Story()
    story.request("open", 201, session_id="s1")
    assert story.kinds() == {Kind.LOST}


def test_an_answered_logout_that_is_lost() -> None:
    """A granted logout ended all that it named."""
    for scope in ("this", "others", "all"):
        story = Story()
        one, other = story.connect(), story.connect()
        story.log_in(one)
        story.log_in(other, "s2")
        story.answer(one, story.ask(one, "logout", "s1", scope=scope))
        story.now(60_000)
        assert story.kinds("s1", "s2") == {Kind.LOST}, scope


def test_an_answered_end_that_is_lost() -> None:
    """What a backend was told has ended has ended, for its reason."""
    for kind, status in (("end", 204), ("endAll", 200)):
        story = Story()
        story.log_in(story.connect())
        story.now(60_000)
        story.request(kind, status, session_id="s1", reason="ban1", ended=1)
        assert story.kinds("s1") == {Kind.LOST}, kind


def test_a_wrong_reason() -> None:
    """Whoever hears of an end, or asks later, is told why."""
    story = Story()
    one = story.connect()
    story.log_in(one)
    cursor = story.write("unset", "s1", "ban1")
    story.request("end", 204, session_id="s1", reason="ban1")
    story.tell_unset(one, cursor, "revoked")
    assert story.kinds() == {Kind.WRONG_REASON}
    one.log.pop()
    story.tell_unset(one, cursor, "ban1")
    assert story.kinds() == set()
    story.answer(one, story.ask(one, "restore", "s1"), error="revoked")
    assert story.kinds() == {Kind.WRONG_REASON}


def test_a_failure_of_the_server() -> None:
    """`internal` is nobody's right answer."""
    story = Story()
    one = story.connect()
    story.log_in(one)
    story.answer(one, story.ask(one, "list", "s1"), error="internal")
    story.request("open", 500)
    assert story.kinds("s1") == {Kind.FAILED}


def test_events_of_the_application() -> None:
    """Those to the session and to the actor are owed to whoever subscribed, and to no other."""
    for is_heard in (True, False):
        for target in ("s1", ""):
            story = Story()
            one, deaf = story.connect(hears_app=True), story.connect()
            first = story.log_in(one)
            story.tell_set(one, story.restore(deaf, first))
            cursor = story.write("app")
            story.request("emit", 201, session_id=target, number=3, cursor=cursor)
            if is_heard:
                story.tell_app(one, cursor, 3)
            assert story.kinds("s1") == (set() if is_heard else {Kind.MISSED})
            story.tell_app(deaf, cursor, 3)
            assert Kind.NOT_ITS_OWN in story.kinds("s1")


def test_an_event_of_the_application_for_another_session() -> None:
    """It is not for this one."""
    story = Story()
    one, other = story.connect(hears_app=True), story.connect(hears_app=True)
    story.log_in(one)
    story.log_in(other, "s2")
    cursor = story.write("app")
    story.request("emit", 201, session_id="s2", number=3, cursor=cursor)
    story.tell_app(other, cursor, 3)
    assert story.kinds("s1", "s2") == set()
    story.tell_app(one, cursor, 3)
    assert story.kinds("s1", "s2") == {Kind.NOT_ITS_OWN}


def test_an_answered_event_that_is_lost() -> None:
    """An event whose cursor a backend was told is in the history, at that place."""
    story = Story()
    cursor = story.log_in(story.connect())
    story.request("emit", 201, session_id="s1", number=3, cursor=cursor + 1024)
    assert story.kinds("s1") == {Kind.LOST}


def test_an_event_without_an_answer_is_known_from_who_heard_it() -> None:
    """If one connection heard it, the others of its session must have, too."""
    story = Story()
    one, other = story.connect(hears_app=True), story.connect(hears_app=True)
    first = story.log_in(one)
    story.tell_set(one, story.restore(other, first))
    cursor = story.write("app")
    story.record.requests.append(Request("emit", ACTOR, story.now(), "s1", number=3))
    assert story.kinds("s1") == set()
    story.tell_app(one, cursor, 3)
    assert story.kinds("s1") == {Kind.MISSED}


def test_an_event_to_the_actor_while_a_connection_moves() -> None:
    """It reaches the connection once, whichever of the two sessions it is told for."""
    story = Story()
    one = story.connect(hears_app=True)
    first = story.log_in(one)
    asked = story.ask(one, "restore", "s2", after=first)
    opened = story.write("set", "s2")
    cursor = story.write("app")
    story.request("emitAll", 201, number=3, cursor=cursor)
    opening = story.write("set", "s2")
    story.tell_app(one, cursor, 3)
    story.tell_set(one, opening, "s2")
    story.answer(one, asked, session_id="s2", cursor=opening, recovered=True)
    assert story.kinds("s1", "s2") == {Kind.HOLE}
    one.log.insert(-3, Heard(Moment(0, 0), "session.set", opened, "s2"))
    assert story.kinds("s1", "s2") == set()
    one.log.insert(-3, one.log[-3])
    assert story.kinds("s1", "s2") == {Kind.DOUBLED}


def test_a_command_that_is_never_answered() -> None:
    """Each command gets a reply as long as the connection lives."""
    story = Story()
    one = story.connect()
    story.log_in(one)
    story.ask(one, "list", "s1")
    assert story.kinds("s1") == set()
    story.now(60_000)
    assert story.kinds("s1") == {Kind.FAILED}


def test_an_event_to_the_actor_that_the_connection_had_before_it_moved() -> None:
    """A client that comes with an old cursor may be sent it again, or not."""
    for is_sent_again in (True, False):
        story = Story()
        one = story.connect(hears_app=True)
        story.write("set", "s2")
        first = story.log_in(one)
        cursor = story.write("app")
        story.request("emitAll", 201, number=3, cursor=cursor)
        story.tell_app(one, cursor, 3)
        asked = story.ask(one, "restore", "s2", after=first)
        if is_sent_again:
            story.tell_app(one, cursor, 3)
        opening = story.write("set", "s2")
        story.tell_set(one, opening, "s2")
        story.answer(one, asked, session_id="s2", cursor=opening, recovered=True)
        assert story.kinds("s1", "s2") == set()
