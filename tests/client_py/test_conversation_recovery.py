"""What a link asks for when it comes back, and what it says about the answer."""

from typing import Any

import pytest

from keystay._conversation import SESSION_RECOVERED, Link
from keystay.session_store import StoredSession
from keystay_protocol.codec import encode
from keystay_protocol.commands import CommandName
from keystay_protocol.errors import InvalidSessionKey, MalformedFrame
from keystay_protocol.frames import Event, Reply
from tests.support.client_py.conversations import bound_link, lines, open_link, sent
from tests.support.client_py.golden import (
    AFTER,
    CURSOR,
    KEY,
    OTHER_KEY,
    SESSION,
    bound,
    refused,
    session_set,
    session_unset,
    wire_session,
)


def told(*, recovered: bool) -> list[Event]:
    """What the program is told when the session was taken up again."""
    return [Event(SESSION_RECOVERED, {"recovered": recovered}, None)]


def reconnect(link: Link) -> int:
    """Give the link a new line; return the id of its restore."""
    link.line_lost()
    link.line_opened()
    return sent(link)[-1].id


class TestTheCursor:
    """It goes with the key of the session it was heard of."""

    def test_every_restore_of_the_session_tells_it(self) -> None:
        """The newest one, whatever kind of event it came with, beside the version."""
        link = Link(version="2.1.0")
        link.adopt(KEY)
        link.line_opened()
        assert lines(link) == [(1, "session.restore", [KEY, {"version": "2.1.0"}])]
        link.receive(bound(1))
        link.receive(encode(Event("chat", "hi", CURSOR + 7)))
        options = {"version": "2.1.0", "cursor": CURSOR + 7}
        assert link.restore_params(KEY) == [KEY, options]

    def test_another_session_is_restored_without(self) -> None:
        """Nothing was heard of it, be it of the same actor or of another."""
        link = bound_link()
        assert link.restore_params(OTHER_KEY) == [OTHER_KEY]
        link.adopt(OTHER_KEY)
        assert lines(link) == [(2, "session.restore", [OTHER_KEY])]
        assert link.receive(bound(2, 7, key=OTHER_KEY, actorId="player:8")) == []
        assert link.restore_params(OTHER_KEY) == [OTHER_KEY, {"cursor": 7}]
        assert link.restore_params(KEY) == [KEY]

    def test_a_line_that_breaks_during_the_replay(self) -> None:
        """The next restore begins after what was heard of it."""
        link = bound_link()
        reconnect(link)
        assert len(link.receive(session_set(CURSOR + 1))) == 1
        link.line_lost()
        link.line_opened()
        assert lines(link) == [(3, "session.restore", [KEY, {"cursor": CURSOR + 1}])]
        assert link.receive(session_set(CURSOR + 1)) == []
        link.receive(session_set(None))
        assert link.receive(bound(3, CURSOR + 2, recovered=True)) == told(recovered=True)
        assert link.restore_params(KEY) == [KEY, {"cursor": CURSOR + 2}]

    def test_the_reply_says_where_a_restore_has_brought_the_connection(self) -> None:
        """Further than its events, which may be of paths that nobody is subscribed to."""
        link = bound_link()
        link.receive(encode(Event("chat", "hi", CURSOR + 3)))
        for cursor, kept in [(CURSOR + 9, CURSOR + 9), (CURSOR + 5, CURSOR + 9)]:
            id_ = reconnect(link)
            link.receive(session_set(None))
            link.receive(bound(id_, cursor, recovered=True))
            assert link.cursor == kept

    def test_a_line_that_breaks_before_the_reply(self) -> None:
        """The `session.set` has no cursor, and takes none away; nor from a stored session."""
        link = Link()
        link.take_up(StoredSession(KEY, CURSOR))
        link.line_opened()
        link.receive(encode(Event("chat", "hi", CURSOR + 1)))
        link.receive(session_set(None))
        assert link.to_store == StoredSession(KEY, CURSOR + 1)
        link.line_lost()
        link.line_opened()
        assert sent(link)[-1].params == [KEY, {"cursor": CURSOR + 1}]

    def test_the_cursor_of_a_stored_session_is_not_that_of_another_actor(self) -> None:
        """A key that the program gave opens a session of somebody else."""
        link = Link()
        link.adopt(OTHER_KEY)
        link.take_up(StoredSession(KEY, CURSOR))
        link.line_opened()
        sent(link)
        link.receive(session_set(None, key=OTHER_KEY, actorId="player:8"))
        assert link.to_store == StoredSession(OTHER_KEY, None)
        link.receive(bound(1, 7, key=OTHER_KEY, actorId="player:8"))
        assert link.to_store == StoredSession(OTHER_KEY, 7)

    def test_a_server_without_cursors(self) -> None:
        """There is nothing to ask with, and the program is told that events may be missing."""
        link = bound_link(cursor=None)
        link.line_lost()
        link.line_opened()
        assert lines(link) == [(2, "session.restore", [KEY])]
        link.receive(session_set(None))
        assert link.receive(bound(2, None)) == told(recovered=False)

    @pytest.mark.parametrize("cursor", [-1, 2**53, 1.0, True, "7"])
    def test_what_is_no_cursor_breaks_the_protocol(self, cursor: Any) -> None:
        """It would be refused when it is told to the server."""
        link = open_link()
        link.command(CommandName.RESTORE, [KEY])
        sent(link)
        with pytest.raises(MalformedFrame):
            link.receive(bound(1, cursor))


class TestRecovered:
    """Whether all that was missed was replayed."""

    @pytest.mark.parametrize("recovered", [True, False])
    def test_it_is_what_the_server_says(self, *, recovered: bool) -> None:
        """Unknown until the first reconnect; told after what was replayed."""
        link = bound_link()
        assert link.recovered is None
        id_ = reconnect(link)
        link.receive(session_set(None))
        assert link.receive(bound(id_, CURSOR + 1, recovered=recovered)) == told(
            recovered=recovered
        )
        assert link.recovered is recovered

    def test_a_server_that_does_not_say(self) -> None:
        """Counts as one that did not."""
        link = bound_link()
        id_ = reconnect(link)
        result = {"session": wire_session(), "cursor": CURSOR + 1}
        assert link.receive(encode(Reply(id_, None, result))) == told(recovered=False)

    def test_a_restore_of_the_program_says_nothing_about_it(self) -> None:
        """Nothing was missed: the line has been there."""
        link = bound_link()
        link.command(CommandName.RESTORE, link.restore_params(KEY))
        sent(link)
        link.receive(bound(2, CURSOR + 1, recovered=False))
        assert link.recovered is None

    def test_moving_to_another_session_while_the_line_is_lost(self) -> None:
        """The program gave the old one up: nothing of it is missed, now or later."""
        link = bound_link()
        link.line_lost()
        link.adopt(OTHER_KEY)
        link.line_opened()
        assert lines(link) == [(2, "session.restore", [OTHER_KEY])]
        assert link.receive(bound(2, CURSOR + 1, key=OTHER_KEY)) == []
        link.adopt(KEY)
        sent(link)
        assert link.receive(bound(3, CURSOR + 2)) == []
        assert link.recovered is None

    def test_a_session_that_is_over_is_not_recovered(self) -> None:
        """Nor is it when the same key is tried again."""
        link = bound_link()
        link.receive(refused(reconnect(link), "expired"))
        link.adopt(KEY)
        sent(link)
        assert link.receive(bound(3, CURSOR + 1)) == []


class TestToStore:
    """What takes the session up in another run."""

    def test_it_follows_the_session(self) -> None:
        """Its key and the newest cursor, until it ends."""
        link = open_link()
        assert link.to_store is None
        link = bound_link()
        assert link.to_store == StoredSession(KEY, CURSOR)
        link.receive(encode(Event("chat", "hi", CURSOR + 1)))
        assert link.to_store == StoredSession(KEY, CURSOR + 1)
        link.receive(session_set(CURSOR + 2, key=OTHER_KEY))
        assert link.to_store == StoredSession(OTHER_KEY, CURSOR + 2)
        link.receive(session_unset("revoked", CURSOR + 3))
        assert link.to_store is None

    def test_a_stored_session_is_restored_with_the_first_line(self) -> None:
        """With its cursor; the first line is a return to it."""
        link = Link()
        link.take_up(StoredSession(KEY, CURSOR))
        assert (link.key, link.session) == (KEY, None)
        link.line_opened()
        assert lines(link) == [(1, "session.restore", [KEY, AFTER])]
        assert len(link.receive(encode(Event("chat", "hi", CURSOR + 1)))) == 1
        assert len(link.receive(session_set(None))) == 1
        assert link.receive(bound(1, CURSOR + 2, recovered=True)) == told(recovered=True)
        assert link.session == SESSION

    def test_a_stored_session_that_is_over(self) -> None:
        """The program hears why, and an actor who logs in then has cursors of its own."""
        link = Link()
        link.take_up(StoredSession(KEY, CURSOR))
        link.line_opened()
        sent(link)
        assert link.receive(refused(1, "loggedOut")) == [
            Event("session.unset", {"reason": "loggedOut", "id": None}, None)
        ]
        assert (link.key, link.to_store) == (None, None)
        link.command(CommandName.LOGIN, ["anonymous"])
        sent(link)
        assert len(link.receive(session_set(5))) == 1
        link.receive(bound(2, 5))
        assert link.to_store == StoredSession(KEY, 5)

    def test_a_key_of_the_program_goes_before_the_stored_one(self) -> None:
        """Whoever it opens is the actor."""
        link = Link()
        link.adopt(OTHER_KEY)
        link.take_up(StoredSession(KEY, CURSOR))
        link.line_opened()
        assert lines(link) == [(1, "session.restore", [OTHER_KEY])]

    @pytest.mark.parametrize("key", ["\ud800", "x" * 65536])
    def test_a_stored_key_that_cannot_be_sent(self, key: str) -> None:
        """It is refused before a line stumbles over it."""
        link = Link()
        with pytest.raises(InvalidSessionKey):
            link.take_up(StoredSession(key, None))
        assert link.key is None
