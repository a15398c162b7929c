"""
The checker finds nothing in a good record, and what is wrong with a history.
"""

from dataclasses import replace

from tests.soak.record import Entry
from tests.soak.story import ACTOR, Story
from tests.soak.violations import Kind


def test_a_good_record_passes() -> None:
    """Nothing is found where two connections received all, one of them after it was away."""
    story = Story()
    stayed, left, back = story.connect(), story.connect(), story.connect()
    first = story.log_in(stayed)
    story.restore(left, first)
    story.close(left)
    missed = story.write("set", "s1")
    story.send_set(stayed, missed)
    story.restore(back, first, missed)
    last = story.log_out(back)
    story.send_unset(stayed, last, "loggedOut")
    command = story.ask(back, "isValid", "s1")
    story.answer(back, command, error="loggedOut")
    story.read_feed()
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
            story.send_set(other, None)
        story.ask(other, "logout", "s1", scope="this")
        if happened:
            story.end("s1", "loggedOut")
        story.close(other)
        assert story.kinds(*(() if happened else ("s1",))) == set()


def test_a_break_in_the_history() -> None:
    """Each entry of the history names the one before it."""
    story = Story()
    story.log_in(story.connect())
    entry = story.record.history[ACTOR][0]
    story.record.history[ACTOR][0] = replace(entry, previous=1)
    assert story.kinds("s1") == {Kind.OUT_OF_ORDER}


def test_an_ended_session_that_is_still_alive() -> None:
    """After its end no key opens a session, no list has it, and nothing changes it."""
    story = Story()
    one = story.connect()
    story.log_in(one)
    story.log_out(one)
    assert story.kinds("s1") == {Kind.STILL_ALIVE}
    command = story.ask(one, "isValid", "s1")
    story.answer(one, command)
    assert story.kinds() == {Kind.STILL_ALIVE}
    one.log.pop()
    story.write("set", "s1")
    assert story.kinds() == {Kind.STILL_ALIVE}


def test_a_session_that_ends_twice() -> None:
    """Each session has one end."""
    story = Story()
    story.log_in(story.connect())
    story.record.connections.clear()
    story.end()
    story.write("unset", "s1", reason="ban1")
    assert story.kinds() == {Kind.DOUBLED}


def test_a_session_that_nobody_ended() -> None:
    """A session ends because somebody asked for that, or because its time is over."""
    for reason in ("loggedOut", "banned", "expired", "replaced", "reassigned"):
        story = Story()
        one = story.connect()
        story.log_in(one)
        story.send_unset(one, story.write("unset", "s1", reason=reason), reason)
        assert story.kinds() == {Kind.NOBODY_ENDED}, reason
    story = Story()
    story.log_in(story.connect())
    assert story.kinds() == {Kind.NOBODY_ENDED}


def test_the_history_is_numbered() -> None:
    """Each change of a session has the next revision."""
    story = Story()
    one = story.connect()
    story.log_in(one)
    story.send_set(one, story.write("set", "s1", revision=3))
    assert story.kinds("s1") == {Kind.WRONG_STATE}


def test_an_entry_after_itself() -> None:
    """The cursors of a history grow."""
    story = Story()
    story.record.history[ACTOR] += [Entry(2048, 0, "app"), Entry(2048, 2048, "app")]
    assert story.kinds() == {Kind.OUT_OF_ORDER}
